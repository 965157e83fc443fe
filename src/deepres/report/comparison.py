"""Runs against each other: their curves, and in what their recipes and results differ."""

import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepres.errors import UserError
from deepres.report.curves import (
    BOLD,
    THIN,
    Curve,
    Styles,
    common_condition,
    curve_label,
    draw_curve,
    set_axes,
    show_whole_markers,
)
from deepres.report.latest import latest
from deepres.report.legends import set_legend
from deepres.report.pictures import as_label, new_figure, nth_look
from deepres.report.render import NOTHING, Table
from deepres.report.runs import OUTCOMES, Run
from deepres.report.x_axis import XAxis, along, readable_axis, set_x_axis
from deepres.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


TITLE_WIDTH = 90
"""Characters of a line of a picture's title."""
STYLES: Styles = {
    "train": THIN | {"linestyle": "--"},
    "val": BOLD | {"linestyle": "-.", "linewidth": 1.6},
    "test": BOLD,
}


def comparison(runs: Sequence[Run], x_axis: XAxis | None = None) -> "Figure":
    """Draw the errors of ``runs`` over each other; of detectors, losses and mAP.

    Args:
        runs: two or more.
        x_axis: what curves are drawn against; None: what they can be read against.

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
    x_axis = x_axis or readable_axis(runs)
    if detectors:
        return _detectors(runs, x_axis)
    common = textwrap.fill(common_condition(runs), TITLE_WIDTH)
    figure = new_figure(7, 4.8)
    axes = figure.add_subplot()
    for i, (run, label) in enumerate(zip(runs, map(as_label, labels(runs)), strict=True)):
        name = label if run.model in label else f"{label}, {run.model}"
        curve = Curve(name, nth_look(i), [run])
        draw_curve(axes, curve, STYLES, curve_label(curve, bool(common)), x_axis)
    last = [run.curve(split)[1][-1:] for run in runs for split in STYLES]
    worst = max(itertools.chain.from_iterable(last), default=0.0)
    high = min(100, max(20, 10 * math.ceil(worst / 8)))  # with room above the worst
    set_axes(axes, runs, (0, 0, high), x_axis)
    figure.set_figheight(4.8 + 0.2 * (set_legend(axes) + common.count("\n")))
    validated = any(run.curve("val")[0] for run in runs)
    lines = ["dashed: training", *(["dash-dotted: validation"] if validated else []), "bold: test"]
    title = f"error, {'; '.join(lines)}"
    axes.set_title("\n".join(filter(None, [title, common])), fontsize=10)
    return figure


def _detectors(runs: Sequence[Run], x_axis: XAxis) -> "Figure":
    figure = new_figure(7, 6.5 + 0.2 * len(runs))
    losses, precisions = figure.subplots(2, 1, sharex=True)
    for i, (run, label) in enumerate(zip(runs, map(as_label, labels(runs)), strict=True)):
        color, marker = nth_look(i)
        looks = THIN | {"color": color}, BOLD | {"color": color, "marker": marker, "label": label}
        for axes, split, key, look in (
            (losses, "train", "loss", looks[0]),
            (precisions, "val", "map_50_pct", looks[1]),
        ):
            steps, values = run.curve(split, key)
            axes.plot(along(np.array(steps, float), run, x_axis), values, **look)
    losses.set_ylabel("training loss")
    precisions.set_ylabel("mAP@.5 on watched images (%)")
    for axes in (losses, precisions):
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        axes.grid(axis="y", color="0.92")
    show_whole_markers(precisions)
    set_x_axis(precisions, max(run.steps for run in runs), x_axis)
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
    """Return the results of ``runs`` side by side, and in what their provenance differs.

    Of a run that is not finished the latest numbers that it has logged.
    """
    known = [key for key in OUTCOMES if any(latest(run, key) for run in runs)]
    times = [f"{run.result['training_s']:,.0f}" if run.result else NOTHING for run in runs]
    rows = [
        ["steps done", *map(_steps_done, runs)],
        *([f"{OUTCOMES[key]} (%)", *(_number(run, key) for run in runs)] for key in known),
        ["training (s)", *times],
        *_differing([run.meta["provenance"] for run in runs]),
    ]
    return _table("Result", runs, rows)


def _steps_done(run: Run) -> str:
    return f"{run.last_step:,}" + ("" if run.result else f" of {run.steps:,}")


def _number(run: Run, key: str) -> str:
    """Return a final number, or the latest and when it was logged."""
    found = latest(run, key)
    if found is None:
        return NOTHING
    if run.result:
        return f"{found.pct:.2f}"
    other = "" if found.words == OUTCOMES[key] else f" ({found.words})"
    return f"{found.pct:.2f} at step {found.step:,}{other}"


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
