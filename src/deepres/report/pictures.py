"""What all pictures share: how lines look, and how a picture is written.

Colours are Okabe & Ito's, told apart by any kind of sight. Each goes with a marker, so that a
picture printed in grey can be read as well.
"""

import bisect
import io
import logging
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from deepres.errors import UserError
from deepres.files import MARK, atomic_write
from deepres.fonts import families_for
from deepres.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PICTURES = (".png", ".svg", ".pdf")
"""The endings that a picture's name may have."""
BLACK, BLUE, SKY, GREEN = "#000000", "#0072b2", "#56b4e9", "#009e73"
ORANGE, VERMILLION, PURPLE = "#e69f00", "#d55e00", "#cc79a7"

Look = tuple[str, str]
"""A line's colour and marker."""
LOOKS: tuple[Look, ...] = (
    (ORANGE, "o"),
    (BLUE, "s"),
    (GREEN, "^"),
    (VERMILLION, "D"),
    (BLACK, "v"),
    (SKY, "P"),
    (PURPLE, "X"),
)
"""For lines in the order in which they are named."""
COLORS = [color for color, _ in LOOKS]
DEPTHS = (20, 32, 44, 56, 110, 1202)
"""Of the networks of Figure 6."""


def nth_look(n: int) -> Look:
    """Return the look of the ``n``-th line; no two of the first 49 look alike."""
    (color, _), (_, marker) = LOOKS[n % len(LOOKS)], LOOKS[(n + n // len(LOOKS)) % len(LOOKS)]
    return color, marker


def look_of(network: str) -> Look:
    """Return how a network's lines look: the same in all pictures, plain or residual."""
    depth = int(re.sub(r"\D", "", network) or 0)
    return LOOKS[bisect.bisect_left(DEPTHS, depth)]


def as_label(text: str) -> str:
    """Return a name from a file or of one as Matplotlib draws it as it is: no formula, no mark."""
    return visible(text).replace("$", r"\$")


def new_figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> "Figure":
    """Return an empty picture of so many inches; by its ``layout`` parts keep off each other."""
    from matplotlib.figure import Figure  # takes half a second: who draws later waits later

    return Figure(figsize=(width, height), layout=layout)


def save_picture(figure: "Figure", path: Path) -> Path:
    """Write ``figure`` in the form that the ending of ``path`` stands for.

    The same figure gives the same bytes.

    Raises:
        UserError: there is no such form, or ``path`` cannot be written.
    """
    if path.suffix.lower() not in PICTURES:
        raise UserError(f"a picture must end in {' or '.join(PICTURES)}, got {path}")
    picture = _rendered(figure, path.suffix[1:].lower())
    with atomic_write(path) as file:
        file.write(picture)
    return path


def svg_text(figure: "Figure") -> str:
    """Return ``figure`` as an <svg> element that can stand in an HTML page, its text as text."""
    svg = _rendered(figure, "svg").decode()
    return svg[svg.index("<svg") :]


def png_bytes(figure: "Figure") -> bytes:
    """Return ``figure`` as the content of a PNG file."""
    return _rendered(figure, "png")


def _rendered(figure: "Figure", form: str) -> bytes:
    import matplotlib as mpl
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if not text.get_text().isascii():
            text.set_fontfamily(families_for(text.get_text()))
    picture = io.BytesIO()
    made_by = {"png": "Software", "svg": "Creator", "pdf": "Creator"}
    # Without these an SVG would hold random names and the time of day.
    dated = {"svg": "Date", "pdf": "CreationDate"}
    metadata: dict[str, str | None] = {made_by[form]: MARK.decode()}
    metadata |= {dated[form]: None} if form in dated else {}
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    with (
        mpl.rc_context({"svg.hashsalt": "deepres", "svg.fonttype": "none"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a name in another alphabet
        log.setLevel(logging.ERROR)  # no word on a font of another weight
        try:
            figure.savefig(picture, format=form, dpi=150, metadata=metadata)
        finally:
            log.setLevel(level)
    return picture.getvalue()
