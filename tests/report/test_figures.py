import re
from pathlib import Path

import pytest
from made_up_runs import make_run, whole_meta
from matplotlib.figure import Figure
from PIL import Image

from deepres.report.figures import confusion_matrix, curves_figure, learning_curves
from deepres.report.read_runs import read_run
from deepres.run_folder import RunFolder
from deepres.visible import visible


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that the pictures say."""
    said: list[str] = []
    true_save = Figure.savefig

    def save(figure: Figure, *arguments: object, **options: object) -> None:
        true_save(figure, *arguments, **options)
        for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
            said.append(re.sub(r"\s+", " ", text.get_text()))

    monkeypatch.setattr(Figure, "savefig", save)
    return said


@pytest.mark.parametrize("scaled_from", [None, 64_000])
def test_learning_curves(tmp_path: Path, texts: list[str], scaled_from: int | None) -> None:
    run = RunFolder(tmp_path)
    recipe = {"kind": "cifar10", "model": "resnet20", "steps": 100, "batch_size": 128}
    recipe["lr_drops"] = [50, 75]
    recipe["scaled_from"] = scaled_from
    run.write_meta(whole_meta(recipe, deviations={"lr": 0.05}))
    for step in (50, 100):
        run.append_event({"step": step, "split": "train", "error_pct": 90 - step / 2})
        run.append_event({"step": step, "split": "test", "error_pct": 95 - step / 2})
    picture = learning_curves(run)
    with Image.open(picture) as image:
        assert image.size == (1050, 675)
        assert len(image.getcolors(1 << 20)) > 50
    title = next(text for text in texts if text.startswith("resnet20"))
    assert ("shortened from 64,000" in title) == (scaled_from is not None)
    assert "not the paper's: learning rate 0.05" in title
    assert {"training", "test"} <= set(texts)


def test_validation_and_test_have_two_colours(tmp_path: Path) -> None:
    run = RunFolder(make_run(tmp_path / "a", steps=300).path)
    run.append_event({"step": 300, "split": "val", "error_pct": 41.5})
    (axes,) = curves_figure(read_run(run.path)).axes
    colors = {line.get_label(): line.get_color() for line in axes.get_lines()}
    assert colors["validation"] != colors["test"]


def test_confusion_matrix(tmp_path: Path, texts: list[str]) -> None:
    counts = [[7, 1], [0, 42]]
    picture = confusion_matrix(counts, ["cat", "dog"], "2 % error", tmp_path / "confusion.png")
    assert picture.stat().st_size > 5_000
    assert {"7", "1", "0", "42", "cat", "dog", "2 % error"} <= set(texts)


@pytest.mark.parametrize(
    "name", [r"$\frac$", "$", "a$b$c", "\u732b", "\u202ecat", "\ud800", "\x00"]
)
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    path = tmp_path / "confusion.svg"
    confusion_matrix([[7, 1], [0, 42]], [name, "dog"], f"{name}: 2 % error", path)
    drawn = path.read_text()
    assert visible(name) in drawn
    assert "\u202e" not in drawn
