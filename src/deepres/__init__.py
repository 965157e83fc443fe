"""deepres: *Deep Residual Learning for Image Recognition* (He et al. 2015) as software.

The paper's networks, its training and evaluation protocol, and its results, reproduced.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepres.data.cifar10 import load_cifar10, load_sample
    from deepres.data.folder import open_image_folder
    from deepres.evaluation import evaluate
    from deepres.evaluation.predict import predict
    from deepres.execution import Execution
    from deepres.models import list_models
    from deepres.pretrained import create_model, load_model
    from deepres.recipes import (
        detection_recipe,
        get_recipe,
        localization_rcnn_recipe,
        localization_recipe,
    )
    from deepres.training.api import resume, train

    __version__: str

__all__ = [
    "Execution",
    "__version__",
    "create_model",
    "detection_recipe",
    "evaluate",
    "get_recipe",
    "list_models",
    "load_cifar10",
    "load_model",
    "load_sample",
    "localization_rcnn_recipe",
    "localization_recipe",
    "open_image_folder",
    "predict",
    "resume",
    "train",
]

_HOMES = {
    "Execution": "execution",
    "create_model": "pretrained",
    "detection_recipe": "recipes",
    "evaluate": "evaluation",
    "get_recipe": "recipes",
    "list_models": "models",
    "load_cifar10": "data.cifar10",
    "load_model": "pretrained",
    "load_sample": "data.cifar10",
    "localization_rcnn_recipe": "recipes",
    "localization_recipe": "recipes",
    "open_image_folder": "data.folder",
    "predict": "evaluation.predict",
    "resume": "training.api",
    "train": "training.api",
}
"""Where each name is imported from when it is first used: not all of them at ``import deepres``."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module(f"{__name__}.provenance").installed_version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
