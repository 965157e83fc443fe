"""Faster R-CNN on the paper's networks (§4.3 and the appendix). Needs the extra ``detection``.

Raises:
    UserError: torchvision, whose parts it is built from, is not installed.
"""

from deepres.data.detection.packages import detection_package

detection_package("torchvision")
