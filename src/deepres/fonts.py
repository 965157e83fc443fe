"""The font for a name in any alphabet: Matplotlib's own, or one that the machine has."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

OTHERS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    # macOS:
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "STHeiti",
    # Windows:
    "Microsoft YaHei",
    "SimHei",
    "Yu Gothic",
    "Malgun Gothic",
    # Of many letters, on any system:
    "Arial Unicode MS",
    "Unifont",
)
"""Fonts with Chinese, Japanese or Korean letters, which DejaVu Sans lacks, as systems have them."""


class Font(NamedTuple):
    """A font of this machine."""

    family: str
    file: Path


def font_for(text: str) -> Font:
    """Return the first font that has all letters of ``text``, or that which lacks the fewest."""
    wanted = {ord(letter) for letter in text if not letter.isspace()}
    best, fewest = next(fonts()), len(wanted) + 1
    for font in fonts():
        if (lacking := len(wanted - letters_of(font.file))) < fewest:
            best, fewest = font, lacking
        if not fewest:
            break
    return best


def families_for(text: str) -> list[str]:
    """Return the families that have the letters of ``text`` together, as Matplotlib takes them."""
    own = next(fonts())
    lacking = "".join(letter for letter in text if ord(letter) not in letters_of(own.file))
    return [own.family, font_for(lacking).family] if lacking.split() else [own.family]


def fonts() -> Iterator[Font]:
    """Yield DejaVu Sans and, of ``OTHERS``, those that there are."""
    import matplotlib as mpl  # takes half a second

    yield Font("DejaVu Sans", Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")
    there = of_the_machine()  # which is rarely needed
    yield from (Font(family, there[family]) for family in OTHERS if family in there)


@cache
def of_the_machine() -> dict[str, Path]:
    """Return the file of each family that there is."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    for file in {*findSystemFonts()} - known:  # installed since Matplotlib wrote its list
        with suppress(OSError, RuntimeError):
            fontManager.addfont(file)
    return {entry.name: Path(entry.fname) for entry in reversed(fontManager.ttflist)}


@cache
def letters_of(file: Path) -> frozenset[int]:
    """Return the code points that a font has."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(file)).get_charmap())
