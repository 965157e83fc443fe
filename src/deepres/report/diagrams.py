"""Figures 3 and 5: networks drawn layer by layer, from plain rows that describe them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from deepres.report.pictures import new_figure
from deepres.report.runs import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Layer(TypedDict):
    """A box."""

    label: str
    """Its text: "3×3 conv, 128, /2"."""
    stage: str
    """Where it belongs: "conv3_x"."""
    channels: int
    """Of its output."""
    size: int
    """Side of its output in pixels; 1: it is no map any more."""


class Shortcut(TypedDict):
    """A curved arrow past some boxes."""

    start: int
    """The place of the layer whose output it takes, after the addition there."""
    end: int
    """The place of the layer to whose output it is added."""
    kind: Literal["identity", "zero-padded", "projection", "gated"]


class Diagram(TypedDict):
    """A network's layers from the input on, and its shortcuts."""

    rows: Sequence[Layer]
    shortcuts: Sequence[Shortcut]


FILLS = ("#ffffff", "#f6e3b4", "#cfe6f5", "#bfe3d6", "#f3d0b8", "#eddbe6")
"""Light tints, one for each stage in turn; what a stage puts out also stands beside it."""
WIDTH, HEIGHT, GAP = 3.0, 0.62, 0.38
"""Of a box, and between boxes, in units of the drawing."""
COLUMN, HEAD = 6.2, 1.5
"""A network's width, and the height of its name."""
UNIT_INCHES, HEADING_INCHES = 0.36, 0.5
THIN: dict[str, Any] = {"arrowstyle": "->", "mutation_scale": 7, "color": "0.2", "linewidth": 0.8}
BOW: dict[str, Any] = {"arrowstyle": "->", "mutation_scale": 7, "color": "0.1", "zorder": 1}
BOX: dict[str, Any] = {
    **{"boxstyle": "round,pad=0,rounding_size=0.12", "edgecolor": "0.25", "linewidth": 0.8},
    "zorder": 2,
}
NOTE: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 6.5, "color": "0.35"}


def figure3(networks: Mapping[str, Diagram]) -> "Figure":
    """Draw whole networks side by side (§3.3); dotted shortcuts change the dimensions."""
    heading = "Figure 3: network architectures\ndotted shortcuts increase dimensions"
    return _draw(heading, {title(name): diagram for name, diagram in networks.items()})


def figure5(networks: Mapping[str, Diagram]) -> "Figure":
    """Draw a building block of each network (§4.1): the first that keeps the dimensions.

    The paper shows those of ResNet-34 (basic) and ResNet-50 (bottleneck).
    """
    blocks = {}
    for name, diagram in networks.items():
        channels, block = first_block(diagram)
        blocks[f"{title(name)}, {channels}-d"] = block
    return _draw("Figure 5: building blocks", blocks)


def first_block(diagram: Diagram) -> tuple[int, Diagram]:
    """Return the channels and the layers of the first block with an identity shortcut."""
    shortcut = next(each for each in diagram["shortcuts"] if each["kind"] == "identity")
    rows = diagram["rows"][shortcut["start"] + 1 : shortcut["end"] + 1]
    return rows[-1]["channels"], {
        "rows": rows,
        "shortcuts": [{"start": -1, "end": len(rows) - 1, "kind": "identity"}],
    }


def _draw(heading: str, networks: Mapping[str, Diagram]) -> "Figure":
    deepest = max((len(diagram["rows"]) for diagram in networks.values()), default=1)
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
    stages = list(dict.fromkeys(row["stage"] for row in diagram["rows"]))
    before = 1
    for i, row in enumerate(diagram["rows"]):
        y = (_below(i - 1) + _below(i)) / 2
        fill = FILLS[stages.index(row["stage"]) % len(FILLS)]
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, facecolor=fill, **BOX))
        axes.text(x, y, row["label"], ha="center", va="center", fontsize=7.5, zorder=3)
        _arrow(axes, x, y + HEIGHT / 2 + GAP, y + HEIGHT / 2)
        if row["size"] not in (1, before):
            axes.text(x - WIDTH / 2 - 0.15, y, f"output\n{row['size']}×{row['size']}", **NOTE)
        before = row["size"]
    for shortcut in diagram["shortcuts"]:
        start, end = shortcut["start"], shortcut["end"]
        style = ":" if _changes(diagram, shortcut) else "-"
        _bow(axes, x, _below(start), _below(end), "-." if shortcut["kind"] == "gated" else style)
        if end == len(diagram["rows"]) - 1:  # its sum leaves the drawing
            _arrow(axes, x, _below(end) + GAP / 2, _below(end) - GAP / 2)


def _changes(diagram: Diagram, shortcut: Shortcut) -> bool:
    """Whether the dimensions differ between the two ends of a shortcut."""
    if shortcut["start"] < 0:
        return shortcut["kind"] == "zero-padded"
    first, last = (diagram["rows"][shortcut[end]] for end in ("start", "end"))
    return (first["channels"], first["size"]) != (last["channels"], last["size"])


def _below(layer: int) -> float:
    """Return the height of the middle of the gap below a layer; −1: that above the first."""
    return -(layer + 1) * (HEIGHT + GAP)


def _bow(axes: "Axes", x: float, start: float, end: float, style: str) -> None:
    """Draw a shortcut past the right side of the boxes."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    start, end, far = start - GAP / 5, end + GAP / 5, x + 1.05 * WIDTH  # apart from the next one's
    bow = Path([(x, start), (far, start), (far, end), (x, end)], [Path.MOVETO, *[Path.CURVE4] * 3])
    width = 1.6 if style == ":" else 1.0
    axes.add_patch(FancyArrowPatch(path=bow, linestyle=style, linewidth=width, **BOW))


def _arrow(axes: "Axes", x: float, start: float, end: float) -> None:
    from matplotlib.patches import FancyArrowPatch

    axes.add_patch(FancyArrowPatch((x, start), (x, end), shrinkA=0, shrinkB=0, **THIN))
