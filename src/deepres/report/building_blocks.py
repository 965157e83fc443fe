"""Figure 5: a residual building block and a bottleneck, with their sum, ReLU and identity."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deepres.network_diagram import Diagram, Shortcut
from deepres.report.diagrams import BOX, FILLS, arrow, shortcut_arrow
from deepres.report.names import title
from deepres.report.pictures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


WIDTH, HEIGHT, GAP = 3.0, 0.7, 0.75
"""Of a box, and between boxes, in units of the drawing."""
RADIUS = 0.24
"""Of the sum's circle."""
COLUMN, HEAD, INPUT = 6.9, 2.1, 1.1
"""A block's width, the height of its name, and that of the arrow that leads into it."""
UNIT_INCHES = 0.42
NOTE: dict[str, Any] = {"va": "center", "fontsize": 9, "style": "italic", "color": "0.25"}


def figure5(networks: Mapping[str, Diagram]) -> "Figure":
    """Draw a building block of each network (§4.1): the first that keeps the dimensions.

    The paper shows those of ResNet-34 (basic) and ResNet-50 (bottleneck). A ReLU follows each
    layer but the last, whose ReLU follows the sum (§3.2).
    """
    blocks = {name: first_block(diagram) for name, diagram in networks.items()}
    longest = max(len(block.rows) for block in blocks.values())
    width, height = COLUMN * len(blocks), HEAD + INPUT + longest * (HEIGHT + GAP) + 1.4
    figure = new_figure(width * UNIT_INCHES, height * UNIT_INCHES, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.text(width / 2, HEAD - 0.5, "Figure 5: building blocks", ha="center", fontsize=11)
    axes.set_xlim(0, width)
    axes.set_ylim(HEAD - height, HEAD)
    for column, (name, block) in enumerate(blocks.items()):
        _draw(axes, COLUMN * (column + 0.4), title(name), block)
    return figure


def first_block(diagram: Diagram) -> Diagram:
    """Return the layers of the first block with an identity shortcut, and that shortcut."""
    shortcut = next(each for each in diagram.shortcuts if each.kind == "identity")
    rows = diagram.rows[shortcut.start + 1 : shortcut.end + 1]
    beside = Shortcut(start=-1, end=len(rows) - 1, kind="identity")
    return replace(diagram, rows=rows, shortcuts=(beside,))


def _draw(axes: "Axes", x: float, name: str, block: Diagram) -> None:
    """Draw a block downwards from its input, its boxes centred on ``x``."""
    from matplotlib.patches import Circle, FancyBboxPatch

    axes.text(x, 0.75, name, ha="center", va="center", fontsize=11, weight="bold")
    axes.text(x - 0.2, -0.1, f"{block.rows[-1].channels}-d", ha="right", **NOTE)
    top = -INPUT
    arrow(axes, x, 0.3, top)
    for row in block.rows:
        corner = (x - WIDTH / 2, top - HEIGHT)
        axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, facecolor=FILLS[1], **BOX))
        axes.text(x, top - HEIGHT / 2, row.label, ha="center", va="center", fontsize=9.5, zorder=3)
        bottom, top = top - HEIGHT, top - HEIGHT - GAP
        arrow(axes, x, bottom, top)
        if row is not block.rows[-1]:
            axes.text(x + 0.2, (bottom + top) / 2 + 0.05, "relu", ha="left", **NOTE)
    middle = top - RADIUS
    axes.add_patch(Circle((x, middle), RADIUS, facecolor="white", edgecolor="0.1", zorder=2))
    axes.plot([x - RADIUS, x + RADIUS], [middle] * 2, color="0.1", linewidth=1, zorder=3)
    axes.plot([x] * 2, [middle - RADIUS, middle + RADIUS], color="0.1", linewidth=1, zorder=3)
    arrow(axes, x, middle - RADIUS, middle - RADIUS - GAP)
    axes.text(x + 0.2, middle - RADIUS - GAP / 2 + 0.05, "relu", ha="left", **NOTE)
    start = -0.35
    beside = shortcut_arrow(axes, x, (start, middle), WIDTH / 2, end_x=x + RADIUS)
    axes.text(beside + 0.12, (start + middle) / 2, "identity", ha="left", **NOTE)
