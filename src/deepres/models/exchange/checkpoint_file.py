"""State dicts from PyTorch's and safetensors files that other programs wrote."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from deepres.errors import UserError

HOW = "save one by torch.save(model.state_dict(), …)"
WRAPPERS = ("state_dict", "model")  # keys under which training scripts put the state dict
PREFIXES = re.compile(r"(?:(?:module|_orig_mod)\.)+")  # of DataParallel and torch.compile


def read_state_dict(file: Path) -> dict[str, Tensor]:
    """Return the state dict in a .safetensors file or in one that ``torch.save`` wrote.

    No code from the file is run. Common wrappings of state dicts are taken off, and floating-point
    tensors become float32.

    Raises:
        UserError: the file is missing or damaged, or holds something else.
    """
    content = _read(file)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise UserError(
            f"{file} holds no state dict; save one by torch.save(model.state_dict(), …)"
        )
    state = {}
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UserError(f"{file} holds no plain state dict: {name!r} is no tensor; {HOW}")
        plain_name = name[match.end() :] if (match := PREFIXES.match(name)) else name
        state[plain_name] = tensor.detach().float() if tensor.is_floating_point() else tensor
    return state


def _read(file: Path) -> Any:
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings(action="ignore"):  # on old ways of pickling
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{file} is no PyTorch file, or needs code to be run, which is refused; "
            f"give a plain state dict: {HOW}"
        ) from error
    except Exception as error:  # a damaged file can fail anywhere in a decoder
        raise UserError(f"{file} is damaged or no checkpoint") from error
