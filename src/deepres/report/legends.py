"""Legends below a picture's axes, where they hide no curve, and what they say of missing ones."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LEGEND: dict[str, Any] = {
    "loc": "upper center",
    "bbox_to_anchor": (0.5, 0),
    "frameon": False,
    "fontsize": 9,
    "handlelength": 3,
    "columnspacing": 1,
}
BELOW_LABEL_POINTS = 34
"""How far below the axes a legend is below their ticks and label."""
NAME_WIDTH = 76
"""Characters of a line of a curve's name."""
NOTE_WIDTH = 44
"""Characters of a line of a note."""


def set_legend(
    axes: "Axes", lacking: str = "", missing: Sequence[str] = (), columns: int | None = None
) -> int:
    """Name the curves below the axes, where that hides none, and those that are ``missing``.

    Returns:
        How many lines that takes.
    """
    from matplotlib.transforms import offset_copy

    handles, names = legend_entries(axes, lacking, missing)
    names = [textwrap.fill(name, NAME_WIDTH) for name in names]
    columns = columns or (1 if missing or max(map(len, names), default=0) > 20 else 2)
    if names:
        figure = axes.get_figure(root=True)
        below = offset_copy(axes.transAxes, figure, 0, -BELOW_LABEL_POINTS, "points")
        axes.legend(handles, names, ncols=columns, bbox_transform=below, **LEGEND)
    lines: int = sum(name.count("\n") + 1 for name in names)
    return -(-lines // columns)


def legend_entries(axes: "Axes", lacking: str, missing: Sequence[str]) -> tuple[list[Any], Any]:
    """Return the lines and names of a legend, at its end those that are not drawn.

    Args:
        axes: of one picture.
        lacking: what the missing ones lack: "no run yet".
        missing: names of curves.
    """
    from matplotlib.lines import Line2D

    handles, names = axes.get_legend_handles_labels()
    note = f"{lacking}: {', '.join(missing)}" if missing else ""
    lines = textwrap.wrap(note, NOTE_WIDTH)
    return [*handles, *(Line2D([], [], linestyle="") for _ in lines)], [*names, *lines]
