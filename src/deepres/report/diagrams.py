"""Figure 3: networks drawn layer by layer, from plain rows that describe them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepres.network_diagram import Diagram, Shortcut
from deepres.report.names import title
from deepres.report.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILLS = ("#ffffff", "#f6e3b4", "#cfe6f5", "#bfe3d6", "#f3d0b8", "#eddbe6")
"""Light tints, one for each stage in turn; what a stage puts out also stands beside it."""
WIDTH, HEIGHT, GAP = 3.0, 0.62, 0.38
"""Of a box, and between boxes, in units of the drawing."""
COLUMN, HEAD, BULGE = 6.2, 1.5, 1.1
"""A network's width, the height of its name, and the reach of a shortcut's curve."""
UNIT_INCHES, HEADING_INCHES = 0.36, 0.5
THIN: dict[str, Any] = {"arrowstyle": "->", "mutation_scale": 7, "color": "0.2", "linewidth": 0.8}
BOW: dict[str, Any] = {"arrowstyle": "->", "mutation_scale": 7, "color": "0.1", "zorder": 1}
BOX: dict[str, Any] = {
    "boxstyle": "round,pad=0,rounding_size=0.12",
    "edgecolor": "0.25",
    "linewidth": 0.8,
    "zorder": 2,
}
NOTE: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 6.5, "color": "0.35"}


def figure3(networks: Mapping[str, Diagram]) -> "Figure":
    """Draw whole networks side by side (§3.3); dotted shortcuts change the dimensions."""
    heading = "Figure 3: network architectures\ndotted shortcuts increase dimensions"
    return _draw(heading, {title(name): diagram for name, diagram in networks.items()})


def _draw(heading: str, networks: Mapping[str, Diagram]) -> "Figure":
    deepest = max((len(diagram.rows) for diagram in networks.values()), default=1)
    width, height = COLUMN * max(1, len(networks)), HEAD + (deepest + 0.5) * (HEIGHT + GAP)
    inches = height * UNIT_INCHES + HEADING_INCHES
    figure = new_figure(width * UNIT_INCHES, inches, layout=None)
    figure.suptitle(heading, fontsize=11, y=1 - 0.08 / inches, va="top")
    axes = figure.add_axes((0, 0, 1, 1 - HEADING_INCHES / inches))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(HEAD - height, HEAD)
    for column, (name, diagram) in enumerate(networks.items()):
        _draw_network(axes, COLUMN * (column + 0.5), name, diagram)
    return figure


def _draw_network(axes: "Axes", x: float, name: str, diagram: Diagram) -> None:
    """Draw ``diagram`` downwards, its boxes centred on ``x``."""
    from matplotlib.patches import FancyBboxPatch

    axes.text(x, 0.85, name, ha="center", va="center", fontsize=10, weight="bold")
    stages = list(dict.fromkeys(row.stage for row in diagram.rows))
    before = 1
    for i, row in enumerate(diagram.rows):
        y = (_below(i - 1) + _below(i)) / 2
        fill = FILLS[stages.index(row.stage) % len(FILLS)]
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, facecolor=fill, **BOX))
        axes.text(x, y, row.label, ha="center", va="center", fontsize=7.5, zorder=3)
        arrow(axes, x, y + HEIGHT / 2 + GAP, y + HEIGHT / 2)
        if row.size not in (1, before):
            axes.text(x - WIDTH / 2 - 0.15, y, f"output\n{row.size}×{row.size}", **NOTE)
        before = row.size
    for shortcut in diagram.shortcuts:
        start, end = shortcut.start, shortcut.end
        style = ":" if _changes(diagram, shortcut) else "-"
        style = "-." if shortcut.kind == "gated" else style
        ends = _below(start) - GAP / 5, _below(end) + GAP / 5  # apart from the next one's
        shortcut_arrow(axes, x, ends, WIDTH / 2, style)
        if end == len(diagram.rows) - 1:  # its sum leaves the drawing
            arrow(axes, x, _below(end) + GAP / 2, _below(end) - GAP / 2)


def _changes(diagram: Diagram, shortcut: Shortcut) -> bool:
    """Whether the dimensions differ between the two ends of a shortcut."""
    if shortcut.start < 0:
        return shortcut.kind == "zero-padded"
    first, last = diagram.rows[shortcut.start], diagram.rows[shortcut.end]
    return (first.channels, first.size) != (last.channels, last.size)


def _below(layer: int) -> float:
    """Return the height of the middle of the gap below a layer; −1: that above the first."""
    return -(layer + 1) * (HEIGHT + GAP)


def shortcut_arrow(
    axes: "Axes",
    x: float,
    ends: tuple[float, float],
    half_width: float,
    style: str = "-",
    end_x: float | None = None,
) -> float:
    """Draw a shortcut beside boxes, none of which it touches.

    Args:
        axes: to draw on.
        x: the middle of the boxes.
        ends: the heights where it leaves the arrow between boxes, and where it is added.
        half_width: of a box.
        style: of the line.
        end_x: where it ends; None: at ``x``.

    Returns:
        How far to the right it reaches.
    """
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    (start, end), edge = ends, x + half_width + 0.1
    far = edge + BULGE
    line = [(x, start), (edge, start), (far, start), (far, end), (edge, end), (end_x or x, end)]
    codes = [Path.MOVETO, Path.LINETO, *[Path.CURVE4] * 3, Path.LINETO]
    width = 1.6 if style == ":" else 1.0
    path = Path(line, codes)
    axes.add_patch(FancyArrowPatch(path=path, linestyle=style, linewidth=width, **BOW))
    return edge + 0.75 * BULGE  # the middle of a cubic curve


def arrow(axes: "Axes", x: float, start: float, end: float) -> None:
    """Draw an arrow that leads down."""
    from matplotlib.patches import FancyArrowPatch

    axes.add_patch(FancyArrowPatch((x, start), (x, end), shrinkA=0, shrinkB=0, **THIN))
