"""Figures 1, 4 and 6: errors against iterations, in the paper's form."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepres.report.grouping import network_of, poolable
from deepres.report.legends import set_legend
from deepres.report.names import title
from deepres.report.pictures import COLORS, Look, look_of, new_figure
from deepres.report.runs import Run
from deepres.report.x_axis import XAxis, along, readable_axis, set_x_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Styles = dict[Split, dict[str, Any]]
"""How the lines for each kind of images look."""
THIN: dict[str, Any] = {"linewidth": 0.9, "markerfacecolor": "white", "markersize": 4}
BOLD: dict[str, Any] = {"linewidth": 2.2, "markersize": 5.5}
CIFAR_AXES = (6.4e4, 0, 20)
"""Figures 1 and 6: the last iteration, lowest and highest error."""
DEGRADATION = ("plain20", "plain56")
"""The networks of Figure 1."""


@dataclass(frozen=True)
class Panel:
    """One of a figure's pictures."""

    heading: str
    networks: Sequence[str]
    styles: Styles


@dataclass(frozen=True)
class Curve:
    """The runs of one network that stand for it: alike in all but their seeds."""

    label: str
    look: Look
    runs: list[Run]


def figure1(runs: Sequence[Run], x_axis: XAxis | None = None) -> "Figure":
    """Draw degradation (§1): the deeper plain network has the higher error, in training too."""
    panels = [
        Panel("training error", DEGRADATION, {"train": BOLD | {"linewidth": 1.5}}),
        Panel("test error", DEGRADATION, {"test": BOLD | {"linewidth": 1.5}}),
    ]
    return _draw("Figure 1: plain networks on CIFAR-10", "", panels, runs, CIFAR_AXES, x_axis)


def figure4(runs: Sequence[Run], x_axis: XAxis | None = None) -> "Figure":
    """Draw training on ImageNet (§4.1): plain networks left, residual ones of option A right."""
    styles: Styles = {"train": THIN, "test": BOLD}
    panels = [
        Panel("plain", ("plain18", "plain34"), styles),
        Panel("ResNet", ("resnet18", "resnet34"), styles),
    ]
    lines = "thin: training error; bold: validation error, centre crop"
    shown = [run for run in runs if run.shortcut in (None, "A")]
    return _draw("Figure 4: ImageNet", lines, panels, shown, (50e4, 20, 60), x_axis)


def figure6(runs: Sequence[Run], x_axis: XAxis | None = None) -> "Figure":
    """Draw training on CIFAR-10 (§4.2): plain networks, residual ones, and 110 against 1202."""
    styles: Styles = {"train": THIN | {"linestyle": "--"}, "test": BOLD}
    plain, residual = (
        [f"{kind}{depth}" for depth in (20, 32, 44, 56)] for kind in ("plain", "resnet")
    )
    panels = [
        Panel("plain", plain, styles),
        Panel("ResNet", [*residual, "resnet110"], styles),
        Panel("ResNet-110 and 1202", ("resnet110", "resnet1202"), styles),
    ]
    lines = "dashed: training error; bold: test error"
    return _draw("Figure 6: CIFAR-10", lines, panels, runs, CIFAR_AXES, x_axis)


def _draw(
    name: str,
    lines: str,
    panels: Sequence[Panel],
    runs: Sequence[Run],
    papers_axes: tuple[float, float, float],
    x_axis: XAxis | None,
) -> "Figure":
    """Draw ``panels`` side by side.

    Args:
        name: of the figure.
        lines: what kinds of lines mean, in words.
        panels: from left to right.
        runs: those that there are; of each network the nearest to the paper's are drawn.
        papers_axes: the last iteration, lowest and highest error of the paper's; curves of other
            runs get as much as they need.
        x_axis: what curves are drawn against; None: what they can be read against.
    """
    chosen = [choose(runs, panel.networks) for panel in panels]
    drawn = [run for curves in chosen for curve in curves for run in curve.runs]
    common, x_axis = common_condition(drawn), x_axis or readable_axis(drawn)
    figure = new_figure(4.6 * len(panels), 4.9)
    heading = [name, lines, textwrap.fill(common, 50 * len(panels))]
    figure.suptitle("\n".join(filter(None, heading)), fontsize=11)
    for panel, curves, axes in zip(
        panels, chosen, figure.subplots(1, len(panels), squeeze=False)[0], strict=True
    ):
        for curve in curves:
            draw_curve(axes, curve, panel.styles, curve_label(curve, bool(common)), x_axis)
        present = {run.model for curve in curves for run in curve.runs}
        missing = [title(network) for network in panel.networks if network not in present]
        set_axes(axes, drawn, papers_axes, x_axis)
        set_legend(axes, "no run yet", missing)
        axes.set_title(panel.heading, fontsize=10)
    return figure


def choose(runs: Sequence[Run], networks: Sequence[str]) -> list[Curve]:
    """Return what stands for each of the ``networks``: the paper's runs, or the nearest to them."""
    curves = []
    classifiers = [run for run in runs if run.is_classifier and run.events]
    for network in networks:
        groups = poolable(run for run in classifiers if network_of(run) == network)
        if groups:
            curves.append(Curve(title(network), look_of(network), groups[0]))
    return curves


def draw_curve(
    axes: "Axes", curve: Curve, styles: Styles, label: str, x_axis: XAxis = "steps"
) -> None:
    """Draw the mean over a curve's runs, and a light band from the lowest to the highest.

    The last of the lines that there are stands in the legend.
    """
    color, marker = curve.look
    last = None
    for split, style in styles.items():
        steps, values = seeds_curve(curve.runs, split)
        if not steps.size:
            continue
        steps = along(steps, curve.runs[0], x_axis)
        every = max(1, steps.size // 7)
        first = COLORS.index(color) * every // len(COLORS)  # markers should not cover each other
        (last,) = axes.plot(steps, np.nanmean(values, 0), color=color, marker=marker, **style)
        last.set_markevery((first, every))
        if len(curve.runs) > 1:
            low, high = np.nanmin(values, 0), np.nanmax(values, 0)
            axes.fill_between(steps, low, high, color=color, alpha=0.18, linewidth=0)
    if last:
        last.set_label(label)


def seeds_curve(runs: Sequence[Run], split: Split) -> tuple[Any, Any]:
    """Return the steps that any of the ``runs`` has logged, and each run's error (%) at these.

    Returns:
        Steps (S,), and errors (len(runs), S): between two logs of a run on the line between them,
        NaN before its first and after its last.
    """
    curves = [run.curve(split) for run in runs]
    steps = np.unique(np.concatenate([logged for logged, _ in curves]))
    values = [
        np.interp(steps, *curve, left=math.nan, right=math.nan)
        if curve[0]
        else np.full(steps.size, math.nan)
        for curve in curves
    ]
    return steps, np.array(values)


def set_axes(
    axes: "Axes",
    runs: Sequence[Run],
    papers_axes: tuple[float, float, float],
    x_axis: XAxis = "steps",
) -> None:
    """Set the paper's axes if all ``runs`` are the paper's, else such as they need."""
    from matplotlib.ticker import MultipleLocator

    papers_end, low, high = papers_axes
    if not all(run.is_papers for run in runs):
        errors = [error for run in runs for split in SPLITS for error in run.curve(split)[1]]
        low, high = 0, min(100, 10 * math.ceil(max(errors, default=100) / 10))
    set_x_axis(axes, max((run.steps for run in runs), default=papers_end), x_axis)
    axes.set_ylim(low, high)
    show_whole_markers(axes)
    axes.yaxis.set_major_locator(MultipleLocator(5 if high - low <= 40 else 20))
    axes.set_ylabel("error (%)")
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)


def show_whole_markers(axes: "Axes") -> None:
    """Let markers reach over the border, as that of the last step; curves that leave it end there.

    To be called once the curves are drawn and the limits are set.
    """
    from matplotlib.transforms import Bbox, TransformedBbox

    low, high = axes.get_ylim()
    for line in axes.lines:
        values = np.asarray(line.get_ydata(), dtype=float)
        bottom = 0 if (values < low).any() else -1
        top = 1 if (values > high).any() else 2
        line.set_clip_box(TransformedBbox(Bbox([[-1, bottom], [2, top]]), axes.transAxes))
        line.set_in_layout(False)


def common_condition(runs: Sequence[Run]) -> str:
    """Return what sets all ``runs`` apart from the paper's, if that is the same for all."""
    conditions = {run.condition for run in runs}
    return f"all runs: {conditions.pop()}" if len(conditions) == 1 and any(conditions) else ""


def curve_label(curve: Curve, condition_said: bool = False) -> str:
    """Return a curve's network, seeds, and what sets it apart, unless that is said elsewhere."""
    parts = [curve.label]
    if len(curve.runs) > 1:
        parts.append(f"mean of {len(curve.runs)}")
    if not condition_said and curve.runs[0].condition:
        parts.append(curve.runs[0].condition)
    if unfinished := [run for run in curve.runs if run.result is None]:
        last = max(run.last_step for run in unfinished)
        which = f"{len(unfinished)} " if len(curve.runs) > 1 else ""
        parts.append(f"{which}now at step {last:,}")
    return ", ".join(parts)
