import importlib
import sys

import pytest

from deepres.errors import UserError


def test_without_torchvision_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "deepres.detection", raising=False)
    with pytest.raises(UserError, match=r"pip install 'deepres\[detection\]'"):
        importlib.import_module("deepres.detection")
