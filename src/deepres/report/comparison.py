"""Runs against each other: their curves, and in what their recipes and results differ."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepres.errors import UserError
from deepres.report.curves import BOLD, THIN, Curve, Styles, curve_label, draw_curve, set_axes
from deepres.report.pictures import as_label, new_figure, nth_look
from deepres.report.render import Table
from deepres.report.runs import OUTCOMES, Run
from deepres.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


NOTHING = "–"


def comparison(runs: Sequence[Run]) -> "Figure":
    """Draw the training and test errors of ``runs`` over each other; of detectors, losses and mAP.

    Raises:
        UserError: only some are detectors.
    """
    detectors = [run for run in runs if run.kind == "detection"]
    if detectors and len(detectors) < len(runs):
        other = next(run for run in runs if run.kind != "detection")
        raise UserError(
            f"{detectors[0].path} is a detector's run and {other.path} is not; compare runs of one "
            "kind"
        )
    if detectors:
        return _detectors(runs)
    figure = new_figure(7, 4.8 + 0.2 * len(runs))
    axes = figure.add_subplot()
    for i, (run, label) in enumerate(zip(runs, map(as_label, labels(runs)), strict=True)):
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


def _detectors(runs: Sequence[Run]) -> "Figure":
    figure = new_figure(7, 6.5 + 0.2 * len(runs))
    losses, precisions = figure.subplots(2, 1, sharex=True)
    for i, (run, label) in enumerate(zip(runs, map(as_label, labels(runs)), strict=True)):
        color, marker = nth_look(i)
        losses.plot(*run.curve("train", "loss"), color=color, **THIN)
        line = BOLD | {"color": color, "marker": marker}
        precisions.plot(*run.curve("val", "map_50_pct"), label=label, **line)
    losses.set_ylabel("training loss")
    precisions.set_ylabel("mAP@.5 on watched images (%)")
    precisions.set_xlabel("steps")
    for axes in (losses, precisions):
        axes.set_xlim(0, max(run.steps for run in runs))
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.grid(axis="y", color="0.92")
    figure.legend(loc="outside lower center", frameon=False)
    return figure


def recipe_differences(runs: Sequence[Run]) -> Table:
    """Return the fields in which the recipes, the seeds or the data of ``runs`` differ."""
    rows = _differing(_fields(runs))
    return _table("Recipe: what differs", runs, rows, "the recipes are the same")


def _fields(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [
        {**run.meta["recipe"], "seed": run.meta["seed"], "data": run.meta["data"]["source"]}
        for run in runs
    ]


def as_data(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the two tables say as plain JSON values, and all that they are taken from."""
    fields = {"recipe": _fields(runs), "provenance": [run.meta["provenance"] for run in runs]}
    return {
        "runs": [
            {
                "run": str(run.path),
                "seed": run.meta["seed"],
                "data": run.meta["data"]["source"],
                "steps_done": run.last_step,
                "recipe": run.meta["recipe"],
                "deviations": run.meta["deviations"],
                "result": run.result,
                "provenance": run.meta["provenance"],
            }
            for run in runs
        ],
        "differences": {
            part: {key: [each.get(key) for each in several] for key in _differing_keys(several)}
            for part, several in fields.items()
        },
    }


def result_differences(runs: Sequence[Run]) -> Table:
    """Return the results of ``runs`` side by side, and in what their provenance differs."""
    known = [key for key in OUTCOMES if any(key in (run.result or {}) for run in runs)]
    numbers: dict[str, Callable[[Any], str]] = {
        **dict.fromkeys(known, "{:.2f}".format),
        "training_s": "{:,.0f}".format,
    }
    rows = [
        ["steps done", *(f"{run.last_step:,}" for run in runs)],
        *([key, *(_number(run, key, form) for run in runs)] for key, form in numbers.items()),
        *_differing([run.meta["provenance"] for run in runs]),
    ]
    return _table("Result", runs, rows)


def _number(run: Run, key: str, form: Callable[[Any], str]) -> str:
    if run.result is None:
        return "not finished"
    return form(run.result[key]) if key in run.result else NOTHING


def labels(runs: Sequence[Run]) -> list[str]:
    """Return the names of the runs' folders, or their paths where names are not enough."""
    names = [visible(run.path.resolve().name) for run in runs]
    return names if len(set(names)) == len(names) else [visible(str(run.path)) for run in runs]


def _differing(fields: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return a row for each key whose values are not all the same."""
    return [[key, *(_shown(each.get(key)) for each in fields)] for key in _differing_keys(fields)]


def _differing_keys(fields: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(itertools.chain.from_iterable(fields))
    return [key for key in keys if len({_shown(each.get(key)) for each in fields}) > 1]


def _shown(value: Any) -> str:
    if value is None:
        return NOTHING
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(name: str, runs: Sequence[Run], rows: list[list[str]], otherwise: str = "") -> Table:
    columns = ["", *labels(runs)]
    notes = [] if rows else [otherwise]
    return Table(name, columns, rows, notes, frozenset(range(1, len(columns))))
