import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from deepres.report.figures import confusion_matrix, learning_curves
from deepres.run_folder import RunFolder


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
    recipe = {"model": "resnet20", "steps": 100, "lr_drops": [50, 75]}
    recipe["scaled_from"] = scaled_from
    run.write_meta({"recipe": recipe, "deviations": {"lr": 0.05}, "data": {"source": "CIFAR-10"}})
    for step in (50, 100):
        run.append_event({"step": step, "split": "train", "error_pct": 90 - step / 2})
        run.append_event({"step": step, "split": "test", "error_pct": 95 - step / 2})
    picture = learning_curves(run)
    with Image.open(picture) as image:
        assert image.size == (1050, 675)
        assert len(image.getcolors(1 << 20)) > 50
    title = next(text for text in texts if text.startswith("resnet20"))
    assert ("shortened from 64,000" in title) == (scaled_from is not None)
    assert "not the paper's: lr 0.05" in title
    assert {"training", "test"} <= set(texts)


def test_confusion_matrix(tmp_path: Path, texts: list[str]) -> None:
    counts = [[7, 1], [0, 42]]
    picture = confusion_matrix(counts, ["cat", "dog"], "2 % error", tmp_path / "confusion.png")
    assert picture.stat().st_size > 5_000
    assert {"7", "1", "0", "42", "cat", "dog", "2 % error"} <= set(texts)
