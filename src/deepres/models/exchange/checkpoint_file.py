"""State dicts from PyTorch's and safetensors files that other programs wrote."""

import pickle
import re
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from deepres.errors import UserError, no_such
from deepres.torch_errors import memory_was_full

HOW = "save one by torch.save(model.state_dict(), …)"
# Keys under which training scripts put state dicts: of the weights' moving average, …
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
# … and of the weights as the optimizer left them.
RAW = ("state_dict", "model", "model_state_dict")
DEEPEST = 3  # how deep in such keys a state dict may be
AVERAGES = "n_averaged"  # torch.optim.swa_utils counts in it; it does not enter into the outputs
PREFIXES = re.compile(r"(?:(?:module|_orig_mod)\.)+")  # of DataParallel and torch.compile
PLAIN = (Namespace,)  # keeps values, as of training scripts' options, and runs nothing
TORCHSCRIPT = "constants.pkl"  # a member of each such archive


def read_state_dict(
    file: Path, key: str | None = None, say: Callable[[str], None] = lambda line: None
) -> dict[str, Tensor]:
    """Return the state dict in a .safetensors file or in one that ``torch.save`` wrote.

    No code from the file is run. Common wrappings of state dicts are taken off, and floating-point
    tensors become float32. Of raw and averaged weights the averaged ones are taken, as timm does.

    Args:
        file: the checkpoint.
        key: under which the weights are, if there are several.
        say: is told what was chosen, and what was taken off.

    Raises:
        UserError: the file is missing or damaged, or holds something else.
    """
    content = _unwrapped(_read(file), file, key, say)
    state = {}
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UserError(
                f"{file} holds no plain state dict: {name!r} is no tensor; {HOW}, or name what "
                "holds the weights by --key"
            )
        if tensor.layout != torch.strided:
            raise UserError(f"{file} holds a sparse tensor, {name!r}; dense ones were expected")
        if tensor.is_meta:
            raise UserError(
                f"{file} holds no numbers of {name!r}, only its shape (a tensor on the device "
                "meta); save the weights from a device that keeps them"
            )
        plain_name = name[match.end() :] if (match := PREFIXES.match(name)) else name
        if plain_name in state:
            raise UserError(f"{file} holds {plain_name!r} twice, with and without its prefix")
        state[plain_name] = tensor.detach().float() if tensor.is_floating_point() else tensor
    state.pop(AVERAGES, None)
    return _without_prefix(state, file, say)


def _unwrapped(
    content: Any, file: Path, key: str | None, say: Callable[[str], None]
) -> dict[Any, Any]:
    for _ in range(DEEPEST):
        if not isinstance(content, Mapping) or not content:
            raise UserError(f"{file} holds no state dict; {HOW}")
        found = [each for each in (*AVERAGED, *RAW) if _holds_weights(content.get(each))]
        if key is not None and not _holds_weights(content.get(key)):
            known = f"under {', '.join(found)}" if found else "without a key"
            raise UserError(f"{file} has no weights under {key!r}; it has them {known}")
        if key is None and len(found) > 1:
            kind = "a moving average of weights" if found[0] in AVERAGED else "weights"
            say(
                f"{file} holds several networks; taking {found[0]}, {kind}; another one by "
                f"--key: {', '.join(found[1:])}"
            )
        if key is None and not found:
            break
        content, key = content[key or found[0]], None
    return dict(content)


def _holds_weights(value: Any) -> bool:
    inside = value.values() if isinstance(value, Mapping) else ()
    return any(isinstance(each, Tensor | Mapping) for each in inside)


def _without_prefix(
    state: dict[str, Tensor], file: Path, say: Callable[[str], None]
) -> dict[str, Tensor]:
    """Leave off what all names begin with: a network inside another module."""
    while state:
        prefix = f"{min(state).partition('.')[0]}."
        rest = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        # A lone layer has a common name too, but none below it.
        if not all(name.startswith(prefix) for name in state) or not all("." in n for n in rest):
            break
        say(f"all names in {file} begin with {prefix!r}, which is left off")
        state = rest
    return state


def _read(file: Path) -> Any:
    if not file.is_file():
        raise UserError(no_such("file", file))
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with (
            warnings.catch_warnings(action="ignore"),  # on old ways of pickling
            torch.serialization.safe_globals([*PLAIN]),
        ):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{file} is no PyTorch file, or needs code to be run, which is refused; "
            f"give a plain state dict: {HOW}"
        ) from error
    except Exception as error:  # a damaged file can fail anywhere in a decoder
        if memory_was_full(error, file.stat().st_size):
            raise
        if _is_torchscript(file):
            raise UserError(
                f"{file} is TorchScript, a program with its weights, and programs are not run; "
                f"give the weights alone: torch.save(torch.jit.load(…).state_dict(), …)"
            ) from error
        raise UserError(f"{file} is damaged or no checkpoint") from error


def _is_torchscript(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith(f"/{TORCHSCRIPT}") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False
