import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

import deepres
from deepres.errors import UserError, cannot_write, given_path, no_such, unknown_name


def test_unknown_name_offers_the_nearest() -> None:
    error = unknown_name("network", "resnet65", ["resnet56", "plain20", "vgg16"])
    assert str(error) == "unknown network 'resnet65'; did you mean resnet56?"


def test_unknown_name_lists_all_when_none_is_near() -> None:
    assert "there are a, b" in str(unknown_name("thing", "xyz", ["b", "a"]))


@pytest.mark.parametrize("value", ["", None, 3, ["a"]])
def test_what_is_no_path_is_named(value: object) -> None:
    with pytest.raises(
        UserError, match=rf"the folder must be a path, got {re.escape(repr(value))}"
    ):
        given_path(value, "the folder")


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_path_is_not_the_working_folder(empty: Any) -> None:
    for opened in (deepres.open_image_folder, deepres.load_cifar10):
        with pytest.raises(UserError, match="must be a path"):
            opened(empty)
    with pytest.raises(UserError, match="the run's folder must be a path"):
        deepres.train(deepres.get_recipe("resnet20"), empty, None)
    with pytest.raises(UserError, match="the run's folder must be a path"):
        deepres.resume(empty, None)
    with pytest.raises(UserError, match="weights are given by a path or a name"):
        deepres.train(deepres.get_recipe("resnet20"), "run", None, weights="")


def test_what_is_missing_is_told_with_what_to_do_or_its_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    typed, other = tmp_path / "cifar-10", tmp_path / "elsewhere"
    assert no_such("folder", typed, "fetch it") == (
        f"{typed}: no such folder; did you mean {tmp_path / 'cifar10'}?"
    )
    assert no_such("folder", other, "fetch it") == f"{other}: no such folder; fetch it"
    assert no_such("file", tmp_path) == f"{tmp_path} is no file"
    assert no_such("file", other / "a") == f"{other / 'a'}: no such file"


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        *((full, "Free some space, then go on") for full in (errno.ENOSPC, errno.EDQUOT)),
        *((refused, "Mend that, then go on") for refused in (errno.EIO, errno.EFBIG)),
        *((denied, "mend its folder's permissions") for denied in (errno.EACCES, errno.EPERM)),
    ],
)
def test_what_to_do_depends_on_why_nothing_is_written(number: int, advice: str) -> None:
    told = str(cannot_write(Path("a"), OSError(number, os.strerror(number))))
    assert told.startswith(f"cannot write a: {os.strerror(number)}; ")
    assert advice in told
