"""Faster R-CNN on the paper's networks (§4.3 and the appendix). Needs the extra ``detection``.

Raises:
    UserError: torchvision, whose parts it is built from, is not installed.
"""

from deepres.errors import UserError

try:
    import torchvision as torchvision
except ImportError as error:
    raise UserError(
        "detection needs the package torchvision; run: pip install 'deepres[detection]'"
    ) from error
