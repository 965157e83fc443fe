"""Tables 2 to 6, and the released models, with our numbers beside the published ones."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deepres.report import published
from deepres.report.computed import computed
from deepres.report.published import CifarResult, ImageNetResult
from deepres.report.render import NOTHING, Table
from deepres.report.rows import (
    NO_RUN,
    PUBLISHED_ONLY,
    Measurement,
    digits,
    one_a_seed,
    result_rows,
    result_table,
    spread,
    state_of,
)
from deepres.report.runs import Run
from deepres.report.tested import ensembles, on_papers_images, tests

NOTES = (
    "Errors in %. Ours: the best run (mean ± sample standard deviation) of n seeds.",
    "Difference: the mean of ours minus the published mean, or number where there is no mean.",
    "Other runs are shortened, depart from the paper's recipe, or saw other images.",
)
ENSEMBLE = ("resnet101 B", "resnet152 B", "resnet152 B", "resnet34 B", "resnet34 C", "resnet50 B")
"""Table 5's networks of ours, sorted, and their shortcut options."""
IN_FOLDER = re.compile(r"([\d,]+) images of (.+)", re.DOTALL)
"""How ``deepres evaluate`` calls the images of a folder, also where it leaves some out."""


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


def table5(runs: Iterable[Run]) -> Table:
    """Return §4.1's ensembles.

    The paper's are counted on the test server, so those on val are others.
    """
    given = list(runs)
    runs = [run for run in given if run.is_classifier]
    papers = {run.path: run for run in runs if run.is_papers}
    measurements = []
    for first, found in [(run, test) for run in runs for test in ensembles(run)]:
        members = [papers[path] for path in first.members(found) if path in papers]
        is_papers = _is_papers_ensemble(members)
        who = f"{len(members)} networks" if is_papers else " + ".join(found["members"])
        on_test = found["views"] == "multi-scale" and found["images"] == published.TEST_IMAGES
        measurements.append(
            Measurement(
                (found["top5_error_pct"],),
                "" if is_papers and on_test else f"{who}, {found['views']}, {_images(found)}",
                None,
                (*(way for run in members for way in run.provenances), found["provenance"]),
            )
        )
    rows = []
    for entry in published.TABLE_5:
        state = NO_RUN if entry.network else PUBLISHED_ONLY
        own = measurements if entry.network else []
        rows += result_rows(
            [entry.label], [digits(entry.top5_pct, entry.decimals)], [entry.top5_pct], own, state
        )
    name = "Table 5: ensembles, top-5 error, ImageNet test"
    return result_table(name, ["ensemble"], [""], rows, NOTES, given)


def _is_papers_ensemble(members: Iterable[Run]) -> bool:
    """Whether these are the networks that make up Table 5's ensemble; a seed counts once."""
    seeds = {(f"{run.model} {run.shortcut}", run.meta["seed"]) for run in members}
    return tuple(sorted(network for network, _ in seeds)) == ENSEMBLE


def released(runs: Iterable[Run]) -> Table:
    """Return what the authors' released models reach by one crop, beside ours."""
    name = "Released models: ImageNet val, 1-crop"
    return _imagenet(name, published.RELEASED_1_CROP, "1-crop", runs)


def table6(runs: Iterable[Run]) -> Table:
    """Return §4.2's test errors on CIFAR-10."""
    given, rows = list(runs), []
    runs = [run for run in given if run.is_classifier]
    for entry in published.TABLE_6:
        own = [run for run in runs if run.model == entry.network]
        measurements = _final_tests(own)
        names = [entry.label, str(entry.layers or NOTHING), entry.parameters or NOTHING]
        state = state_of(own) if entry.network else PUBLISHED_ONLY
        reference = entry.mean_pct or entry.error_pct
        rows += result_rows(names, [_best_and_mean(entry)], [reference], measurements, state)
    names = ["network", "layers", "parameters"]
    return result_table("Table 6: CIFAR-10 test", names, [""], rows, NOTES, given)


def table6_in_short(runs: Iterable[Run]) -> Table:
    """Return the rows of Table 6 that have runs of the paper's length, without anything else."""
    runs, rows = [run for run in runs if run.is_classifier], []
    for entry in published.TABLE_6:
        measurements = _final_tests(run for run in runs if run.model == entry.network)
        if ours := [each for each in measurements if not each.condition]:
            errors = [error for each in ours for error in each.values_pct]
            provenances = [each for measurement in ours for each in measurement.provenances]
            count = f"{len(ours)} run{'s' * (len(ours) > 1)} of {published.CIFAR_STEPS:,} steps"
            how = f"{count}; {computed(provenances)}"
            rows.append([entry.label, _best_and_mean(entry), spread(errors), how])
    columns = ["network", "published", "ours", "runs, length"]
    note = "Test error in %. Of several runs: the best (mean ± sample standard deviation)."
    title = "Table 6 at the paper's length"
    return Table(title, columns, rows, [note], frozenset({1, 2}))


def _final_tests(runs: Iterable[Run]) -> list[Measurement]:
    """Return the final test errors of the finished ones of ``runs``, each seed once."""
    return [
        Measurement(
            (run.result["test_error_pct"],),
            run.condition or ("by §4.2's recipe" if run.model.startswith("highway") else ""),
            run.meta["seed"],
            tuple(run.provenances),
        )
        for run in one_a_seed(runs)
        if run.result
    ]


def _imagenet(
    title: str,
    entries: Iterable[ImageNetResult],
    views: str,
    runs: Iterable[Run],
    top5: bool = True,
) -> Table:
    keys = ["top1_error_pct", "top5_error_pct"][: 1 + top5]
    given, rows = list(runs), []
    runs = [run for run in given if run.is_classifier]
    for entry in entries:
        own = [r for r in runs if (r.model, r.shortcut) == (entry.network, entry.shortcut)]
        measurements = [m for run in one_a_seed(own) for m in _tests(run, views, keys)]
        values = [entry.top1_pct, entry.top5_pct][: 1 + top5]
        state = state_of(own, f"trained, {views} test missing") if entry.network else PUBLISHED_ONLY
        printed = [digits(value, entry.decimals) for value in values]
        rows += result_rows([entry.label], printed, values, measurements, state)
    measures = ["top-1 ", "top-5 "] if top5 else [""]
    return result_table(title, ["network"], measures, rows, NOTES, given)


def _tests(run: Run, views: str, keys: Sequence[str]) -> list[Measurement]:
    """Return what tests of a finished run by ``views`` found, the latest on each set of images.

    The paper's images are one set, whatever a test calls them.
    """
    if run.result is None:
        return []
    latest: dict[str, Mapping[str, Any]] = {}
    for found in tests(run):
        if found["views"] == views:
            papers = on_papers_images(run, found["images"], found.get("fingerprint"))
            latest["" if papers else _images(found, run)] = found
    return [
        Measurement(
            tuple(found[key] for key in keys),
            ", ".join(filter(None, [run.condition, images])),
            run.meta["seed"],
            (*run.provenances, found["provenance"]),
        )
        for images, found in latest.items()
    ]


def _best_and_mean(entry: CifarResult) -> str:
    if entry.mean_pct is None:
        return f"{entry.error_pct:.2f}"
    return f"{entry.error_pct:.2f} ({entry.mean_pct:.2f} ± {entry.std_pct:.2f})"


def _images(found: Mapping[str, Any], run: Run | None = None) -> str:
    """Say how many images were tested, of how many, and of what; of a folder only its name.

    Other images than the own test images of ``run`` are told apart, for folders of one name are
    many.
    """
    match, tested = IN_FOLDER.fullmatch(found["data"]), found.get("fingerprint")
    count = f"{found['images']:,}"
    name = (match and Path(match[2]).name) or found["data"]
    if run and tested:
        own = tested == run.meta["data"].get("test_fingerprint")
        name = run.meta["data"]["source"] if own else f"{name} ({tested[:8]})"
    whole = f" of {match[1]}" if match and match[1] != count else ""
    return f"{count}{whole} images of {name}"
