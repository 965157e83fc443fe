"""Where fetched weights are kept: as they came where torch.hub keeps its own, and as ours."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from deepres.errors import cannot_write
from deepres.models import Classifier, save_weights

if sys.platform != "win32":
    import fcntl

CONVERSION = 1
"""Raised when what is made of a file changes, so that no earlier one is taken."""


def downloads_folder() -> Path:
    """Return the folder of files as they came: torch.hub's own (``TORCH_HOME``)."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def kept_as_ours(name: str, make: Callable[[], tuple[Classifier, dict[str, Any]]]) -> Path:
    """Return the .safetensors file called ``name``, made at first use.

    Processes that want it at once make it once.

    Args:
        name: says whose weights and which file they are.
        make: fetches them and returns the classifier, and what to note of its origin.

    Raises:
        UserError: it cannot be made, or the disk refused.
    """
    folder = Path(torch.hub.get_dir()) / "deepres"
    file = folder / f"{name}-{CONVERSION}.safetensors"
    if not file.exists():
        with _locked(folder):
            if not file.exists():
                classifier, origin = make()
                save_weights(file, classifier, {"imported": origin})
    return file


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder if need be, and wait until no other process is at work in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        if sys.platform != "win32":
            with suppress(OSError):  # some file systems know no locks
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
