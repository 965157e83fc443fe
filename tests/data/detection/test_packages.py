import sys

import pytest

from deepres.data.detection.packages import detection_package
from deepres.errors import UserError


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert detection_package("pycocotools.mask").__name__ == "pycocotools.mask"
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    remedy = r"needs the package pycocotools; run: pip install 'deepres\[detection\]'"
    with pytest.raises(UserError, match=remedy):
        detection_package("pycocotools.mask")
