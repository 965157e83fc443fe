"""What a weight file must hold to be a network's: tensors that fit, numbers that can be, notes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepres.errors import UserError
from deepres.json_shape import Shape, misfit

INPUT_MEAN, INPUT_STD = "input_mean", "input_std"  # stored beside the network's own tensors
RESTORE = (
    "restore it from a copy (a run's is written again by --resume; one in PyTorch's cache, once it "
    "is removed)"
)
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
"""What tensors may hold: numbers, and the counters of BN."""
COUNTER = "num_batches_tracked"
"""How the names end of what BN counts while it is trained; no output depends on it."""


def check_dtypes(tensors: dict[str, Tensor], file: Path) -> None:
    """Make sure that a file's tensors hold numbers of one of ``DTYPES``.

    Raises:
        UserError: one does not; it is named.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            expected = ", ".join(map(_bare, DTYPES))
            raise UserError(f"{file}: {name} holds {_bare(tensor.dtype)}, expected {expected}")


def check_notes(notes: Any, shape: Shape, file: Path) -> None:
    """Make sure that what is noted of a file's tensors is what ``shape`` says.

    Raises:
        UserError: it is not.
    """
    if wrong := misfit(notes, shape):
        raise UserError(f"{file} was not written by deepres: of its notes {wrong}")


@contextmanager
def building_from(file: Path) -> Iterator[None]:
    """Turn whatever goes wrong as a network is built by a file's notes into a line that names it.

    Raises:
        UserError: something does.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except Exception as error:
        raise UserError(f"{file} was written by another version of deepres: {error}") from error


def with_counters(state: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with a network's counters of BN, which other files need not have.

    Files that were rounded as a whole, as to float16, have them as other numbers.
    """
    new = {name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith(COUNTER)}
    rounded = {name for name in new.keys() & state.keys() if state[name].dtype != torch.int64}
    return new | {name: tensor for name, tensor in state.items() if name not in rounded}


def check_fit(expected: dict[str, Tensor], found: dict[str, Tensor], file: Path) -> None:
    """Compare a network's tensors with those of a file, strictly.

    Raises:
        UserError: a tensor is missing, superfluous, or of another shape or kind; it is named.
    """
    for name, tensor in expected.items():
        if name not in found:
            inside = (each for each in found.keys() - expected.keys() if each.endswith(f".{name}"))
            nearest = min(inside, key=len, default=None)
            hint = f", but there is {nearest}" if nearest else ""
            raise UserError(f"{file} does not fit the network: {name} is missing{hint}")
        if found[name].shape != tensor.shape:
            raise UserError(
                f"{file} does not fit the network: {name} has shape {tuple(found[name].shape)}, "
                f"expected {tuple(tensor.shape)}"
            )
        if found[name].is_floating_point() != tensor.is_floating_point():
            raise UserError(
                f"{file} does not fit the network: {name} holds {_bare(found[name].dtype)}, "
                f"expected {_bare(tensor.dtype)}"
            )
    if extra := found.keys() - expected.keys():
        raise UserError(f"{file} does not fit the network: {min(extra)} is not part of it")


def check_numbers(tensors: dict[str, Tensor], file: Path) -> None:
    """Make sure that a file's numbers can be a network's.

    Raises:
        UserError: one is not finite, a variance is negative, or the mean or std of the input is
            out of range; its tensor is named.
    """
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            wrong = "a value that is no finite number"
        elif name.endswith("running_var") and (tensor < 0).any():
            wrong = "a negative variance"
        elif name == INPUT_MEAN and not ((tensor >= 0) & (tensor <= 1)).all():
            wrong = "a mean of the input outside 0 to 1"
        elif name == INPUT_STD and not (tensor > 0).all():
            wrong = "a standard deviation of the input that is not above 0"
        else:
            continue
        raise UserError(f"{file} is damaged: {name} holds {wrong}; {RESTORE}")


def take_preparation(tensors: dict[str, Tensor], file: Path) -> tuple[Tensor, Tensor]:
    """Remove the input's mean and std from a file's tensors, and return them.

    Returns:
        The mean of each channel (3, 1, 1), or the mean image (3, H, W); the std (3, 1, 1).

    Raises:
        UserError: one is missing, or not one for three channels.
    """
    for name in (INPUT_MEAN, INPUT_STD):
        if name not in tensors:
            raise UserError(f"{file} does not fit the network: {name} is missing")
    mean, std = tensors.pop(INPUT_MEAN), tensors.pop(INPUT_STD)
    for name, tensor in ((INPUT_MEAN, mean), (INPUT_STD, std)):
        of_channels = tensor.ndim in (1, 3) and len(tensor) == 3 and tensor.numel() > 0
        of_channels &= name == INPUT_MEAN or tensor.numel() == 3
        if not of_channels or not tensor.is_floating_point():
            raise UserError(
                f"{file} does not fit the network: {name} has shape {tuple(tensor.shape)} of "
                f"{_bare(tensor.dtype)}, expected a number for each of 3 channels"
            )
    return mean if mean.ndim == 3 else mean.view(3, 1, 1), std.view(3, 1, 1)


def _bare(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
