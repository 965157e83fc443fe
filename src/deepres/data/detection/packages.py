"""The packages of the extra ``detection``, which not everyone has installed."""

from types import ModuleType

from deepres.extras import optional_package


def detection_package(name: str) -> ModuleType:
    """Import a module of torchvision or pycocotools.

    Raises:
        UserError: it is not installed.
    """
    return optional_package(name, "detection", "detection needs")
