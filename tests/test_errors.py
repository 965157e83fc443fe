from pathlib import Path

from deepres.errors import no_such, unknown_name


def test_unknown_name_offers_the_nearest() -> None:
    error = unknown_name("network", "resnet65", ["resnet56", "plain20", "vgg16"])
    assert str(error) == "unknown network 'resnet65'; did you mean resnet56?"


def test_unknown_name_lists_all_when_none_is_near() -> None:
    assert "there are a, b" in str(unknown_name("thing", "xyz", ["b", "a"]))


def test_what_is_missing_is_told_with_what_to_do_or_its_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    typed, other = tmp_path / "cifar-10", tmp_path / "elsewhere"
    assert no_such("folder", typed, "fetch it") == (
        f"{typed}: no such folder; did you mean {tmp_path / 'cifar10'}?"
    )
    assert no_such("folder", other, "fetch it") == f"{other}: no such folder; fetch it"
    assert no_such("file", tmp_path) == f"{tmp_path} is no file"
    assert no_such("file", other / "a") == f"{other / 'a'}: no such file"
