from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from deepres import fonts
from deepres.detection.labels import LabelStyle
from deepres.fonts import families_for, font_for
from deepres.report.pictures import new_figure, png_bytes

FAMILY = "Unifont"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine whose only other font can write 猫 and cat, and which Matplotlib has not seen."""
    file = tmp_path / "font.ttf"
    pen = TTGlyphPen(None)
    for place, corner in enumerate([(0, 0), (0, 600), (500, 600), (500, 0)]):
        (pen.lineTo if place else pen.moveTo)(corner)
    pen.closePath()
    names = {".notdef": TTGlyphPen(None).glyph(), "box": pen.glyph()}
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([*names])
    builder.setupCharacterMap(dict.fromkeys(map(ord, "猫cat "), "box"))
    builder.setupGlyf(names)
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(file)
    known = [*font_manager.fontManager.ttflist]
    others = [entry for entry in known if entry.name not in fonts.OTHERS]
    font_manager.fontManager.ttflist[:] = others
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(file)])
    fonts.of_the_machine.cache_clear()
    yield file
    font_manager.fontManager.ttflist[:] = known
    fonts.of_the_machine.cache_clear()


def test_a_name_is_written_in_a_font_that_has_its_letters(installed: Path) -> None:
    assert font_for("cat ± 1").family == font_for("").family == "DejaVu Sans"
    assert font_for("猫 cat") == (FAMILY, installed)
    assert font_for("狗").family == "DejaVu Sans"  # no font has it
    assert font_for("猫狗") == (FAMILY, installed)
    assert families_for("猫 ±") == ["DejaVu Sans", FAMILY]
    assert families_for("cat\n± 1") == ["DejaVu Sans"]


def test_pictures_and_labels_are_drawn_with_it(
    installed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def drawn(title: str) -> bytes:
        figure = new_figure(2, 1)
        figure.subplots().set_title(title)
        return png_bytes(figure)

    assert drawn("犬") == drawn("狗")  # letters that no font has look alike
    assert drawn("猫") != drawn("狗")
    assert not caplog.records
    assert LabelStyle.of_size(12, ["猫 cat"]).font.path == installed
    assert LabelStyle.of_size(12, ["cat 0.5"]).font.getname()[0] == "DejaVu Sans"
