from pathlib import Path

import pytest
from made_up_runs import make_run

from deepres.cli.main import main


def test_compare_prints_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "a", test_error_pct=8.5)
    make_run(tmp_path / "b", "plain20", 1, test_error_pct=9.25)
    assert main(["compare", "a", "b"]) == 0
    shown = capsys.readouterr().out
    for words in (
        ["model", "resnet20", "plain20"],
        ["seed", "0", "1"],
        ["test_error_pct", "8.50", "9.25"],
    ):
        assert words in [line.split() for line in shown.splitlines()]
    assert "curves: compare.png" in shown
    assert (tmp_path / "compare.png").stat().st_size > 10_000
    assert main(["compare", "a", "b", "--out", "pictures/over.svg"]) == 0
    assert "plain20" in (tmp_path / "pictures/over.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("compare a", "compare takes two runs or more, got only a"),
        ("compare a nowhere", "nowhere is not a run folder: it has no recipe.json"),
        ("compare a a --out a.jpeg", "--out must end in .png or .svg or .pdf, got a.jpeg"),
    ],
)
def test_mistakes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "a")
    assert main(arguments.split()) == 2
    assert capsys.readouterr().err == f"deepres: {message}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
