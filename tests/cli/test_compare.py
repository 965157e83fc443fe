import json
from pathlib import Path

import pytest
from json_keys import assert_documented
from made_up_runs import make_run
from matplotlib.figure import Figure

from deepres.cli.main import main
from deepres.errors import UserError
from deepres.files import check_ours
from deepres.report.pictures import save_picture


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
        ["test", "error", "(%)", "8.50", "9.25"],
    ):
        assert words in [line.split() for line in shown.splitlines()]
    assert "curves: compare.png" in shown
    assert (tmp_path / "compare.png").stat().st_size > 10_000
    assert main(["compare", "a", "b", "--out", "pictures/over.svg"]) == 0
    assert "plain20" in (tmp_path / "pictures/over.svg").read_text()


def test_compare_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "a", test_error_pct=8.5)
    make_run(tmp_path / "b", "plain20", 1, stopped_at=3200)
    assert main(["compare", "a", "b", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert_documented({**found, "differences": {}})  # whose keys are fields
    assert [run["run"] for run in found["runs"]] == ["a", "b"]
    assert found["runs"][0]["result"]["test_error_pct"] == 8.5
    assert found["runs"][1]["result"] is None
    assert found["runs"][1]["steps_done"] == 3200
    assert found["differences"]["recipe"] == {"model": ["resnet20", "plain20"], "seed": [0, 1]}
    assert found["files"] == {"curves": "compare.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("compare a", "compare takes two runs or more, got only a"),
        ("compare a nowhere", "nowhere: no such run folder"),
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


@pytest.mark.parametrize(
    ("command", "name"), [("compare a b", "compare.png"), ("report --runs .", "report.html")]
)
def test_what_others_have_written_is_not_replaced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for run in "ab":
        make_run(tmp_path / run, steps=300)
    theirs = tmp_path / name
    theirs.write_bytes(b"my own notes on deepres")
    assert main(command.split()) == 2
    said = f"deepres: {name} is there already, and was not written by deepres; move it away"
    assert capsys.readouterr().err.startswith(said)
    assert theirs.read_bytes() == b"my own notes on deepres"
    assert main([*command.split(), "--out", name]) == 0  # they said so
    assert theirs.read_bytes() != b"my own notes on deepres"
    assert main(command.split()) == 0  # it is ours now


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_pictures_say_who_has_drawn_them(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"theirs")
    with pytest.raises(UserError, match="was not written by deepres"):
        check_ours(path)
    save_picture(Figure(), path)
    check_ours(path)
