"""Entry points for torch.hub: every network by name, with or without weights.

torch.hub.load(REPOSITORY, "resnet50", weights="msra")      # the network, for prepared images
torch.hub.load(REPOSITORY, "classifier", "resnet20")        # with the preparation of its input
"""

import sys as _sys
from collections.abc import Callable as _Callable
from pathlib import Path as _Path

_sys.path.insert(0, str(_Path(__file__).parent / "src"))

from deepres import create_model as _create_model
from deepres import list_models as _list_models
from deepres import load_model as classifier  # noqa: F401

dependencies = ["torch", "numpy", "PIL", "safetensors", "rich"]


def _entry_point(name: str) -> _Callable[..., object]:
    def build(**options: object) -> object:
        return _create_model(name, **options)  # type: ignore[arg-type]

    build.__doc__ = f"Build {name}; the options are those of deepres.create_model."
    return build


globals().update({name: _entry_point(name) for name in _list_models()})
