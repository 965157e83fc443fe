"""The state of a run on disk: whole, checked, and with the one before it kept.

A checkpoint is a ``torch.save`` file that loads with ``weights_only=True``: state dicts and plain
values, and a SHA-256 of all of them.
"""

import hashlib
import io
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepres.errors import UserError
from deepres.files import atomic_write
from deepres.torch_errors import memory_was_full

State = dict[str, Any]


class DamagedCheckpoint(UserError):
    """A checkpoint that is cut, altered, or no checkpoint at all."""


def save_checkpoint(path: Path, state: State) -> None:
    """Make ``state`` the checkpoint at ``path``; the one that was there becomes the previous one.

    Raises:
        UserError: the disk is full, or the folder is gone. The checkpoints are as they were.
    """
    # Into memory first: writing to a full disk, torch.save would hide the system's error.
    content = io.BytesIO()
    torch.save({**state, "sha256": digest_of(state)}, content)
    # A kill between the two renames leaves the previous one, which loading falls back on.
    with atomic_write(path, previous=previous_of(path), make_folder=False) as file:
        file.write(content.getbuffer())


def previous_of(path: Path) -> Path:
    """Where the checkpoint before the one at ``path`` is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def load_checkpoint(path: Path) -> State:
    """Read one checkpoint, to the CPU.

    Raises:
        FileNotFoundError: there is none.
        UserError: it is a pipe or a device.
        DamagedCheckpoint: the file is damaged.
        OSError: the system refused to read it; that says nothing about the file.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
        raise UserError(f"{path} is no regular file; put the checkpoint in its place")
    content = path.read_bytes()
    try:
        with warnings.catch_warnings(action="ignore"):  # on odd pickles
            state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        checksum = state.pop("sha256")
        check_size(state, len(content))
        found = digest_of(state)
    except Exception as error:  # a damaged archive can fail anywhere in zip, pickle or torch
        if memory_was_full(error, len(content)):
            raise
        raise DamagedCheckpoint(f"{path} is damaged and cannot be read") from error
    if checksum != found:
        raise DamagedCheckpoint(f"{path} is damaged: its content does not match its checksum")
    return state


def check_size(value: Any, most: int) -> int:
    """Return how many bytes the tensors in ``value`` hold, ``most`` at most.

    A tensor of stride 0 takes a few bytes of a file, and all memory once it is copied.

    Raises:
        ValueError: they hold more.
    """
    if isinstance(value, Tensor):
        size = value.numel() * value.element_size()
    else:
        within = value.values() if isinstance(value, dict) else value
        size = 0
        for each in within if isinstance(value, dict | list | tuple) else ():
            size += check_size(each, most - size)
    if size > most:
        raise ValueError(f"tensors of more than {most:,} bytes")
    return size


def digest_of(state: State) -> str:
    """Return the SHA-256 of everything in ``state``: tensors by dtype, shape and bytes."""
    digest = hashlib.sha256()

    def feed(value: Any) -> None:
        if isinstance(value, Tensor):
            flat = value.detach().cpu().reshape(-1)
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            digest.update(flat.view(torch.uint8).numpy().data)
        elif isinstance(value, dict):
            for key, item in value.items():
                digest.update(repr(key).encode())
                feed(item)
        elif isinstance(value, list | tuple):
            digest.update(f"{len(value)}".encode())
            for item in value:
                feed(item)
        else:
            digest.update(repr(value).encode())

    feed(state)
    return digest.hexdigest()


def total_bytes(tensors: Iterable[Tensor]) -> int:
    """Return how many bytes tensors take."""
    return sum(tensor.nbytes for tensor in tensors)
