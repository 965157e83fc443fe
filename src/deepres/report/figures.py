"""What a command draws at its end: a run's curves as in Figure 6, and confusions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepres.report.pictures import BLUE, VERMILLION, save_picture
from deepres.run_folder import Event, RunFolder

HELD_OUT = {"test": "test", "val": "validation"}


def learning_curves(run: RunFolder) -> Path:
    """Draw a run's training and test error against its steps, as in Figure 6, into curves.png.

    A run shorter than the paper's says so in its title.
    """
    meta = run.read_meta()
    recipe, events = meta["recipe"], run.read_events()
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    _curve(axes, events, "train", color=BLUE, linestyle="--", linewidth=1, label="training")
    for split, label in HELD_OUT.items():
        _curve(axes, events, split, color=VERMILLION, linewidth=2.2, label=label)
    for drop in recipe["lr_drops"]:
        axes.axvline(drop, color="0.75", linewidth=0.8, zorder=0)

    length = f"{recipe['steps']:,} steps"
    if recipe["shortened_from"]:
        length += f", shortened from the paper's {recipe['shortened_from']:,}"
    if meta["departures"]:
        length += f"\nnot the paper's: {describe(meta['departures'])}"
    axes.set_title(f"{recipe['model']} on {meta['data']['source']}\n{length}", fontsize=11)
    axes.set_xlabel("steps (grey lines: the learning rate drops)")
    axes.set_ylabel("error (%)")
    axes.set_xlim(0, recipe["steps"])
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="0.92")
    axes.legend(frameon=False)
    return save_picture(figure, run.path / "curves.png")


def describe(departures: dict[str, Any]) -> str:
    """Name the fields in which a recipe departs from the paper's, for people."""
    return ", ".join(f"{field} {value}" for field, value in departures.items())


def confusion_matrix(
    counts: Sequence[Sequence[int]], classes: Sequence[str], title: str, path: Path
) -> Path:
    """Draw which classes were taken for which: rows are the true class, columns the predicted."""
    matrix = np.asarray(counts)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    size = 2.5 + 0.55 * len(classes)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title, fontsize=11)
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    return save_picture(figure, path)


def _curve(axes: Axes, events: list[Event], split: str, **style: Any) -> None:
    points = [(event["step"], event["error_pct"]) for event in events if event["split"] == split]
    if points:
        axes.plot(*zip(*points, strict=True), **style)
