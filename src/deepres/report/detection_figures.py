"""A detector's pictures: its losses and precision against steps, and precision against recall."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepres.report.pictures import (
    BLACK,
    BLUE,
    LOOKS,
    ORANGE,
    SKY,
    VERMILLION,
    as_label,
    new_figure,
)
from deepres.report.runs import PRECISIONS, Run
from deepres.report.x_axis import set_x_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


LOSSES = {
    "loss_objectness": "object or not (RPN)",
    "loss_rpn_box_reg": "boxes (RPN)",
    "loss_classifier": "classes",
    "loss_box_reg": "boxes",
    "loss_mask": "masks",
}
"""The parts of the training loss, in words."""
COLUMNS = 5
POINTS = 150
"""As many of a curve's points as are drawn: more cannot be seen in a small panel."""

PrecisionCurve = Mapping[str, Any]
"""``recall`` and ``precision``, each a list of equal length, and ``ap_pct``."""


def detection_curves(run: Run) -> "Figure":
    """Draw a detector's training losses, and its precision on watched images, against steps."""
    figure = new_figure(5, 5)
    losses, precisions = figure.subplots(2, 1, sharex=True)
    recipe = run.meta["recipe"]
    phases = recipe.get("phase_starts", [])
    _line(losses, run, "train", "loss", phases, color=BLACK, linewidth=1.6, label="sum")
    for (key, label), (color, _) in zip(LOSSES.items(), LOOKS, strict=False):
        _line(losses, run, "train", key, phases, color=color, linewidth=1, label=label)
    colors = (VERMILLION, BLUE, ORANGE, SKY)
    for (key, label), color in zip(PRECISIONS.items(), colors, strict=True):
        _line(precisions, run, "val", key, [], color=color, marker=".", label=label)
        _line(precisions, run, "test", key, [], color=color, marker="D", label=f"{label}, test")
    for axes, what in ((losses, "training loss"), (precisions, "mAP (%)")):
        for drop in recipe["lr_drops"]:
            axes.axvline(drop, color="0.75", linewidth=0.8, zorder=0)
        for start in phases:
            axes.axvline(start, color="0.55", linewidth=0.8, linestyle=":", zorder=0)
        axes.set_ylabel(what)
        set_x_axis(axes, run.steps, "steps")
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.grid(axis="y", color="0.92")
        if axes.get_legend_handles_labels()[1]:
            axes.legend(frameon=False, fontsize=8, ncols=2)
    lines = "grey lines: the learning rate drops" + ("; dotted: a phase begins" if phases else "")
    losses.set_xlabel("")
    precisions.set_xlabel(f"{precisions.get_xlabel()}\n({lines})")
    return figure


def precision_recall(curves: Mapping[str, PrecisionCurve]) -> "Figure":
    """Draw precision against recall, a small panel for each class, all on the same axes."""
    rows = math.ceil(len(curves) / COLUMNS)
    across = min(COLUMNS, len(curves))
    figure = new_figure(1.6 * across + 0.6, 1.6 * rows + 0.5)
    panels = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False)
    for axes, drawn in itertools.zip_longest(panels.flat, curves.items()):
        if drawn is None:
            axes.set_visible(False)
            continue
        name, curve = drawn
        recall, precision = (_thinned(curve[key]) for key in ("recall", "precision"))
        axes.plot(recall, precision, color=BLUE, linewidth=1.2)
        axes.fill_between(recall, precision, color=BLUE, alpha=0.12, linewidth=0)
        axes.set_title(f"{as_label(name)}  {curve['ap_pct']:.1f}", fontsize=8)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=7)
        axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=7)
        axes.grid(color="0.92")
    figure.supxlabel("recall", fontsize=9)
    figure.supylabel("precision", fontsize=9)
    return figure


def _line(
    axes: "Axes", run: Run, split: str, key: str, phases: Sequence[int], **style: Any
) -> None:
    """Draw what was logged as ``key``, broken where a phase begins."""
    steps, values = run.curve(split, key)
    if not steps:
        return
    phase = np.searchsorted(phases, steps, side="left") if phases else np.zeros(len(steps))
    breaks = np.flatnonzero(np.diff(phase)) + 1
    marker = {"marker": "."} if len(steps) == 1 else {}
    axes.plot(
        np.insert(np.array(steps, float), breaks, math.nan),
        np.insert(np.array(values, float), breaks, math.nan),
        **marker | style,
    )


def _thinned(values: Sequence[float]) -> Any:
    """Return at most ``POINTS`` of ``values``, evenly spread, with the first and the last."""
    every = np.linspace(0, len(values) - 1, min(POINTS, len(values))).round().astype(int)
    return np.array(values)[every]
