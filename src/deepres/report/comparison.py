"""Runs against each other: their curves, and in what their recipes and results differ."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from deepres.report.curves import BOLD, THIN, Curve, Styles, curve_label, draw_curve, set_axes
from deepres.report.pictures import nth_look
from deepres.report.render import Table
from deepres.report.runs import Run

NOTHING = "–"


def comparison(runs: Sequence[Run]) -> Figure:
    """Draw the training and test errors of ``runs`` over each other."""
    figure = Figure(figsize=(7, 4.8 + 0.2 * len(runs)), layout="constrained")
    axes = figure.add_subplot()
    for i, (run, label) in enumerate(zip(runs, labels(runs), strict=True)):
        name = label if run.model in label else f"{label}, {run.model}"
        curve = Curve(name, nth_look(i), [run])
        styles: Styles = {"train": THIN | {"linestyle": "--"}, "test": BOLD}
        draw_curve(axes, curve, styles, curve_label(curve))
    last = [run.curve(split)[1][-1:] for run in runs for split in ("train", "test")]
    worst = max(itertools.chain.from_iterable(last), default=0.0)
    high = min(100, max(20, 10 * math.ceil(worst / 8)))  # with room above the worst
    set_axes(axes, runs, (0, 0, high))
    axes.set_title("dashed: training error; bold: test error", fontsize=10)
    return figure


def recipe_differences(runs: Sequence[Run]) -> Table:
    """Return the fields in which the recipes, the seeds or the data of ``runs`` differ."""
    fields = [
        {**run.meta["recipe"], "seed": run.meta["seed"], "data": run.meta["data"]["source"]}
        for run in runs
    ]
    return _table("Recipe: what differs", runs, _differing(fields), "the recipes are the same")


def result_differences(runs: Sequence[Run]) -> Table:
    """Return the results of ``runs`` side by side, and in what their provenance differs."""
    numbers: dict[str, Callable[[Any], str]] = {
        "test_error_pct": "{:.2f}".format,
        "train_error_pct": "{:.2f}".format,
        "training_s": "{:,.0f}".format,
    }
    rows = [
        ["steps done", *(f"{run.last_step:,}" for run in runs)],
        *(
            [key, *(form(run.result[key]) if run.result else "not finished" for run in runs)]
            for key, form in numbers.items()
        ),
        *_differing([run.meta["provenance"] for run in runs]),
    ]
    return _table("Result", runs, rows)


def labels(runs: Sequence[Run]) -> list[str]:
    """Return the names of the runs' folders, or their paths where names are not enough."""
    names = [run.path.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def _differing(fields: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return a row for each key whose values are not all the same."""
    keys = dict.fromkeys(itertools.chain.from_iterable(fields))
    rows = [[key, *(_shown(each.get(key)) for each in fields)] for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def _shown(value: Any) -> str:
    if value is None:
        return NOTHING
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(name: str, runs: Sequence[Run], rows: list[list[str]], otherwise: str = "") -> Table:
    columns = ["", *labels(runs)]
    notes = [] if rows else [otherwise]
    return Table(name, columns, rows, notes, frozenset(range(1, len(columns))))
