import pytest

from deepres.cli.class_tables import print_by_class
from deepres.evaluation.evaluation_log import CLASSES_KEPT


def test_all_classes_are_shown_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    print_by_class("AP (%)", [("dog", 50.0), ("cat", 20.25)], 1, worst_first=lambda ap: ap)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines.index(["dog", "50.0"]) < lines.index(["cat", "20.2"])


def test_of_many_classes_the_worst_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    found = [(f"class{i}", float(i)) for i in range(CLASSES_KEPT + 2)]
    print_by_class("error (%)", found, 2, worst_first=lambda error: -error)
    words = capsys.readouterr().out.split()
    assert " ".join(words).startswith(f"the worst {CLASSES_KEPT} classes")
    named = [word for word in words if word.startswith("class") and word[5:].isdigit()]
    assert named == [f"class{i}" for i in range(CLASSES_KEPT + 1, 1, -1)]
