"""What a command draws at its end: a run's curves as in Figure 6, and confusions."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepres.recipe_words import fields_in_words, length_in_words
from deepres.report.detection_figures import detection_curves
from deepres.report.latest import HELD_OUT
from deepres.report.pictures import BLUE, GREEN, VERMILLION, as_label, new_figure, save_picture
from deepres.report.read_runs import read_run
from deepres.report.runs import Run
from deepres.report.x_axis import set_x_axis
from deepres.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


CURVES = "curves.png"
"""In a run's folder: its learning curves."""
HELD_OUT_LOOKS: dict[str, dict[str, Any]] = {
    "val": {"color": GREEN, "linewidth": 1.8, "linestyle": "-."},
    "test": {"color": VERMILLION, "linewidth": 2.2},
}


def learning_curves(folder: RunFolder) -> Path:
    """Draw a run's errors, or a detector's losses and precision, against steps into its folder.

    As in Figure 6. A run of another length than the paper's says so in its title.
    """
    run = read_run(folder.path)
    figure = curves_figure(run)
    figure.set_size_inches(7, 7 if run.kind == "detection" else 4.5)
    length = length_in_words(run.steps, run.meta["recipe"]["scaled_from"])
    if deviations := run.meta["deviations"]:
        length += "\n" + textwrap.fill(f"not the paper's: {fields_in_words(deviations)}", 76)
    title = as_label(f"{run.model} on {run.meta['data']['source']}\n{length}")
    figure.axes[0].set_title(title, fontsize=11)
    return save_picture(figure, run.path / CURVES)


def curves_figure(run: Run) -> "Figure":
    """Return a run's training and test error against its steps, without a title.

    A detector has no errors: its losses and its precision stand in their place.
    """
    if run.kind == "detection":
        return detection_curves(run)
    figure = new_figure(5, 3.4)
    axes = figure.add_subplot()
    _curve(axes, run, "train", color=BLUE, linestyle="--", linewidth=1, label="training")
    for split, look in HELD_OUT_LOOKS.items():
        _curve(axes, run, split, label=HELD_OUT[split], **look)
    for drop in run.meta["recipe"]["lr_drops"]:
        axes.axvline(drop, color="0.75", linewidth=0.8, zorder=0)
    set_x_axis(axes, run.steps, "steps")
    axes.set_xlabel(f"{axes.get_xlabel()}; grey lines: the learning rate drops")
    axes.set_ylabel("error (%)")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="0.92")
    if run.events:
        axes.legend(frameon=False)
    return figure


def confusion_matrix(
    counts: Sequence[Sequence[int]], classes: Sequence[str], title: str, path: Path
) -> Path:
    """Draw which classes were taken for which: rows are the true class, columns the predicted."""
    matrix = np.asarray(counts)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    size = 2.5 + 0.55 * len(classes)
    figure = new_figure(size, size)
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [as_label(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(as_label(title), fontsize=11)
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    return save_picture(figure, path)


def _curve(axes: "Axes", run: Run, split: str, **style: Any) -> None:
    steps, errors = run.curve(split)
    if steps:
        axes.plot(steps, errors, marker="." if len(steps) == 1 else None, **style)
