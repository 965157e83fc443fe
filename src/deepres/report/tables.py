"""Tables 2 to 6 with our numbers beside the published ones.

Only the paper's runs count as ours: of full length, by its recipe, on its data. What others have
found stands in a column of its own, on rows that say what they are.
"""

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepres.report import published
from deepres.report.published import CifarResult, ImageNetResult
from deepres.report.render import Table
from deepres.report.runs import Run, alike
from deepres.run_folder import EVALUATIONS

NO_RUN, PUBLISHED_ONLY, NOTHING = "no run yet", "published only", "–"
NOTES = (
    "Errors in %. Ours: the best run (mean ± sample standard deviation) of n seeds.",
    "Difference: the mean of ours minus the published mean, or number where there is no mean.",
    "Other runs are shortened, depart from the paper's recipe, or saw other images.",
)


@dataclass(frozen=True)
class Measurement:
    """What a test of one trained network found."""

    errors_pct: tuple[float, ...]
    """One for each kind of error that the table counts, top-1 or top-5 or both."""
    condition: str
    """What sets it apart from the paper's, in words; nothing: it counts as ours."""
    seed: int | None
    provenances: tuple[Mapping[str, Any], ...]
    """Of the training and of the test."""


def table2(runs: Iterable[Run]) -> Table:
    """Return §4.1's plain against residual networks, 10-crop."""
    name = "Table 2: plain and residual, top-1 error, ImageNet val, 10-crop"
    return _imagenet(name, published.TABLE_2, "10-crop", runs, top5=False)


def table3(runs: Iterable[Run]) -> Table:
    """Return §4.1's options A, B and C and deeper networks, 10-crop."""
    return _imagenet("Table 3: ImageNet val, 10-crop", published.TABLE_3, "10-crop", runs)


def table4(runs: Iterable[Run]) -> Table:
    """Return §4.1's single networks, fully convolutional at five scales."""
    name = "Table 4: single networks, ImageNet val, multi-scale"
    return _imagenet(name, published.TABLE_4, "multi-scale", runs)


def table5(runs: Iterable[Run], ensembles: Iterable[Mapping[str, Any]] = ()) -> Table:
    """Return §4.1's ensembles.

    Args:
        runs: the members.
        ensembles: evaluations as in a run's evaluations.json, with the names of their runs as
            ``members``. The paper's are counted on the test server, so those on val are others.
    """
    papers = {run.name: run for run in runs if run.is_papers}
    measurements = []
    for found in ensembles:
        members = found.get("members", [])
        counts = found["images"] == published.TEST_IMAGES and set(members) <= papers.keys()
        condition = f"{len(members)} networks, {found['views']}, {_images(found)}"
        provenances = [papers[name].meta["provenance"] for name in members if name in papers]
        measurements.append(
            Measurement(
                (found["top5_error_pct"],),
                "" if counts and len(members) > 1 else condition,
                None,
                (*provenances, found["provenance"]),
            )
        )
    rows = []
    for entry in published.TABLE_5:
        state = NO_RUN if entry.network else PUBLISHED_ONLY
        own = measurements if entry.network else []
        rows += _rows(
            [entry.label], [_printed(entry.top5_pct, entry.decimals)], [entry.top5_pct], own, state
        )
    return _table("Table 5: ensembles, top-5 error, ImageNet test", ["ensemble"], [""], rows)


def table6(runs: Iterable[Run]) -> Table:
    """Return §4.2's test errors on CIFAR-10."""
    runs, rows = list(runs), []
    for entry in published.TABLE_6:
        own = [run for run in runs if run.model == entry.network]
        measurements = [
            Measurement(
                (run.result["test_error_pct"],),
                run.condition or ("by §4.2's recipe" if run.model.startswith("highway") else ""),
                run.meta["seed"],
                (run.result["provenance"],),
            )
            for run in _one_a_seed(own)
            if run.result
        ]
        names = [entry.label, str(entry.layers or NOTHING), entry.parameters or NOTHING]
        state = _state(own) if entry.network else PUBLISHED_ONLY
        reference = entry.mean_pct or entry.error_pct
        rows += _rows(names, [_best_and_mean(entry)], [reference], measurements, state)
    return _table("Table 6: CIFAR-10 test", ["network", "layers", "parameters"], [""], rows)


def _imagenet(
    title: str,
    entries: Iterable[ImageNetResult],
    views: str,
    runs: Iterable[Run],
    top5: bool = True,
) -> Table:
    keys = ["top1_error_pct", "top5_error_pct"][: 1 + top5]
    runs, rows = list(runs), []
    for entry in entries:
        own = [r for r in runs if (r.model, r.shortcut) == (entry.network, entry.shortcut)]
        measurements = [m for run in _one_a_seed(own) for m in _tests(run, views, keys)]
        values = [entry.top1_pct, entry.top5_pct][: 1 + top5]
        state = _state(own, f"trained, {views} test missing") if entry.network else PUBLISHED_ONLY
        printed = [_printed(value, entry.decimals) for value in values]
        rows += _rows([entry.label], printed, values, measurements, state)
    measures = ["top-1 ", "top-5 "] if top5 else [""]
    return _table(title, ["network"], measures, rows)


def _tests(run: Run, views: str, keys: Sequence[str]) -> list[Measurement]:
    """Return what tests of a finished run by ``views`` found, the latest on each set of images."""
    if run.result is None:
        return []
    latest = {
        (found["data"], found["images"]): found
        for found in run.side_file(EVALUATIONS) or []
        if found["views"] == views
    }
    measurements = []
    for found in latest.values():
        whole = found["images"] == published.VALIDATION_IMAGES
        parts = [run.condition, "" if whole else _images(found)]
        measurements.append(
            Measurement(
                tuple(found[key] for key in keys),
                ", ".join(filter(None, parts)),
                run.meta["seed"],
                (run.result["provenance"], found["provenance"]),
            )
        )
    return measurements


def _one_a_seed(runs: Iterable[Run]) -> list[Run]:
    """Leave out repetitions of a run: they are no evidence of their own."""
    return list(itertools.chain.from_iterable(alike(runs).values()))


def _state(runs: Sequence[Run], finished: str = NO_RUN) -> str:
    """Return why there is no number of the paper's run."""
    papers = [run for run in runs if run.is_papers]
    if any(run.result for run in papers):
        return finished
    if papers:
        furthest = max(papers, key=lambda run: run.last_step)
        return f"under way: {furthest.last_step:,} of {furthest.steps:,} steps"
    return NO_RUN


def _table(title: str, names: list[str], measures: Sequence[str], rows: list[list[str]]) -> Table:
    values = [f"{m}{what}" for m in measures for what in ("published", "ours", "difference")]
    columns = [*names, *values, "n", "other runs", "provenance"]
    return Table(title, columns, rows, NOTES, frozenset(range(1, len(columns) - 1)))


def _rows(
    names: list[str],
    printed: Sequence[str],
    references: Sequence[float | None],
    measurements: Sequence[Measurement],
    state: str,
) -> list[list[str]]:
    """Return a published row with ours in it, and below it a row for each kind of other runs."""
    groups: dict[str, list[Measurement]] = {"": []}
    for measurement in measurements:
        groups.setdefault(measurement.condition, []).append(measurement)
    ours = groups.pop("")
    cells = []
    for i, (text, reference) in enumerate(zip(printed, references, strict=True)):
        errors = [measurement.errors_pct[i] for measurement in ours]
        difference = NOTHING
        if errors and reference is not None:
            difference = f"{statistics.mean(errors) - reference:+.2f}".replace("-", "−")
        cells += [text, spread(errors) if errors else state, difference]
    count = str(len(ours)) if ours else NOTHING
    rows = [[*names, *cells, count, NOTHING, describe_provenance(ours)]]
    for condition, group in groups.items():
        label = [f"{names[0]}, {condition}", *[NOTHING] * (len(names) - 1)]
        found = " / ".join(map(spread, zip(*[m.errors_pct for m in group], strict=True)))
        nothing = [NOTHING] * len(cells)
        rows.append([*label, *nothing, str(len(group)), found, describe_provenance(group)])
    return rows


def spread(values: Sequence[float]) -> str:
    """Return "best (mean ± sample standard deviation)", or the one value there is."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    mean, std = statistics.mean(values), statistics.stdev(values)
    return f"{min(values):.2f} ({mean:.2f} ± {std:.2f})"


def describe_provenance(measurements: Sequence[Measurement]) -> str:
    """Name the seeds, the versions and the hardware behind ``measurements``."""
    if not measurements:
        return NOTHING
    provenances = [each for measurement in measurements for each in measurement.provenances]
    seeds = sorted({m.seed for m in measurements if m.seed is not None})
    parts = [f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"] if seeds else []
    for name, key in (("commit ", "commit"), ("torch ", "torch"), ("", "hardware")):
        if values := dict.fromkeys(str(each[key]) for each in provenances if key in each):
            parts.append(name + ", ".join(values))
    return "; ".join(parts)


def _best_and_mean(entry: CifarResult) -> str:
    if entry.mean_pct is None:
        return f"{entry.error_pct:.2f}"
    return f"{entry.error_pct:.2f} ({entry.mean_pct:.2f} ± {entry.std_pct:.2f})"


def _printed(value: float | None, decimals: int) -> str:
    return NOTHING if value is None else f"{value:.{decimals}f}"


def _images(found: Mapping[str, Any]) -> str:
    data = str(found["data"])
    return data if " images of " in data else f"{found['images']:,} images of {data}"
