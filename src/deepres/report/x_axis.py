"""What curves are drawn against: steps, or the share of the schedule that is done."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from deepres.report.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


XAxis = Literal["steps", "share"]
MANY_TIMES = 3
"""Beside a run so many times as long, a run's curve is too narrow to be read."""


def readable_axis(runs: Sequence[Run]) -> XAxis:
    """Return what curves of ``runs`` can be read against: steps, unless lengths differ much."""
    lengths = [run.steps for run in runs if run.steps]
    return "share" if lengths and max(lengths) > MANY_TIMES * min(lengths) else "steps"


def along(steps: Any, run: Run, x_axis: XAxis) -> Any:
    """Return where logged ``steps`` (S,) of ``run`` stand: as they are, or in % of its length."""
    return steps if x_axis == "steps" else 100 * steps / max(1, run.steps)


def set_x_axis(axes: "Axes", end: float, x_axis: XAxis) -> None:
    """Set limits, ticks and label.

    Args:
        axes: of one picture.
        end: the last step.
        x_axis: what curves are drawn against.
    """
    from matplotlib.ticker import MultipleLocator

    if x_axis == "share":
        axes.set_xlabel("share of the run's own schedule (%)")
        end = 100
    elif end >= 40_000:  # at less, no two ticks would be left
        axes.xaxis.set_major_locator(MultipleLocator(1e4 if end <= 1e5 else 1e5))
        axes.xaxis.set_major_formatter(lambda step, _: f"{step / 1e4:g}")
        axes.set_xlabel("iterations (10⁴)")
    else:
        whole_ticks(axes.xaxis)
        axes.set_xlabel("iterations")
    axes.set_xlim(0, end)


def whole_ticks(axis: "Axis") -> None:
    """Put ticks at whole numbers alone, with thousands set apart: of steps, of layers."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
