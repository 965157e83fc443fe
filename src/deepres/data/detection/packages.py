"""The packages of the extra ``detection``, which not everyone has installed."""

from importlib import import_module
from types import ModuleType

from deepres.errors import UserError


def detection_package(name: str) -> ModuleType:
    """Import a module of torchvision or pycocotools.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UserError(
            f"detection needs the package {package}; run: pip install 'deepres[detection]'"
        ) from error
