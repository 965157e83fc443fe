from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image
from svg import texts

from deepres.errors import UserError
from deepres.report.pictures import LOOKS, look_of, nth_look, save_picture, svg_text


def figure() -> Figure:
    drawn = Figure(figsize=(3, 2), layout="constrained")
    axes = drawn.add_subplot()
    axes.plot([0, 1], [0, 1], marker="o", label="a < b")
    axes.legend()
    return drawn


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path, ending: str) -> None:
    first, second = (save_picture(figure(), tmp_path / f"{i}.{ending}") for i in range(2))
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 1_000


def test_svg_holds_text_as_text_and_no_date() -> None:
    svg = svg_text(figure())
    assert svg.startswith("<svg")
    assert "dc:date" not in svg
    assert "a < b" in texts(figure())


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end in \.png or \.svg or \.pdf"):
        save_picture(figure(), tmp_path / "picture.jpeg")
    assert not list(tmp_path.iterdir())


def test_lines_are_told_apart_by_more_than_colour() -> None:
    assert len({marker for _, marker in LOOKS}) == len({color for color, _ in LOOKS}) == len(LOOKS)
    assert len({nth_look(n) for n in range(49)}) == 49
    depths = [look_of(f"plain{depth}") for depth in (20, 32, 44, 56, 110, 1202)]
    assert len({marker for _, marker in depths}) == len({color for color, _ in depths}) == 6
    assert look_of("plain34") == look_of("resnet34") != look_of("resnet18")


def test_png_has_the_figures_size(tmp_path: Path) -> None:
    with Image.open(save_picture(figure(), tmp_path / "picture.PNG")) as image:
        assert image.size == (450, 300)
