"""The packages that come with an extra of deepres, which not everyone has installed."""

from importlib import import_module
from types import ModuleType

from deepres.errors import UserError


def optional_package(module: str, extra: str, who_needs: str) -> ModuleType:
    """Import a module of such a package.

    Args:
        module: its name, which begins with the package's.
        extra: with which the package comes.
        who_needs: the beginning of a sentence, as "ONNX needs".

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise UserError(
            f"{who_needs} the package {package}; run: pip install 'deepres[{extra}]'"
        ) from error
