"""Tables 10 and 11: average precision on PASCAL VOC, class by class, published and ours."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from deepres.data.detection.voc_classes import VOC_CLASSES
from deepres.report.detection_runs import tests_of
from deepres.report.detection_tables import PLACEHOLDERS, detection_command
from deepres.report.published_detection import TABLE_7, TABLE_10, TABLE_11, ClassPrecisions
from deepres.report.render import NOTHING, Table
from deepres.report.rows import NO_RUN, PUBLISHED_ONLY, awaits_runs, one_a_seed
from deepres.report.runs import Run

NOTES = (
    "Average precision at an overlap of 0.5, in %. Ours: the mean of n seeds of the paper's "
    "recipe, each tested alone, without improvements, on the images that the table is of.",
)


def table10(runs: Iterable[Run]) -> Table:
    """Return appendix B's detectors on PASCAL VOC 2007."""
    return _table("Table 10: PASCAL VOC 2007 test, class by class", TABLE_10, runs)


def table11(runs: Iterable[Run]) -> Table:
    """Return appendix B's detectors on PASCAL VOC 2012."""
    return _table("Table 11: PASCAL VOC 2012 test, class by class", TABLE_11, runs)


def _table(name: str, entries: Sequence[ClassPrecisions], runs: Iterable[Run]) -> Table:
    detectors = one_a_seed(run for run in runs if run.kind == "detection")
    papers = [run for run in detectors if run.is_papers]
    columns, cells = ["class"], [["n", "mAP", *VOC_CLASSES]]
    states, missing = set(), []
    for entry in entries:
        published = ["", *(f"{each:.1f}" for each in (entry.map_pct, *entry.of_classes_pct))]
        ours = _ours(entry, papers)
        columns += [f"{entry.label} published", f"{entry.label} ours"]
        cells += [published, ours]
        states.add(ours[0])
        if ours[0] == NO_RUN:
            missing += [(entry.label, command) for command in _commands(entry)]
    return Table(
        name,
        columns,
        rows=list(map(list, zip(*cells, strict=True))),
        notes=[*NOTES, *([PLACEHOLDERS] if missing else [])],
        numbers=frozenset(range(1, len(columns))),
        missing=missing,
        is_empty=awaits_runs(states),
    )


def _ours(entry: ClassPrecisions, papers: Sequence[Run]) -> list[str]:
    """Return how many of the paper's runs were tested, or why none, and their mean precisions."""
    found = [pcts for run in papers if (pcts := _of_classes(run, entry))]
    if not found:
        return [NO_RUN if entry.network else PUBLISHED_ONLY, *[NOTHING] * (1 + len(VOC_CLASSES))]
    means = list(map(statistics.fmean, zip(*found, strict=True)))
    return [str(len(found)), *(f"{each:.1f}" for each in (statistics.fmean(means), *means))]


def _commands(entry: ClassPrecisions) -> list[str]:
    """Return the command that brings about a detector's numbers, if it is one of ours."""
    alike = [row for row in TABLE_7 if (row.network, row.test) == (entry.network, entry.test)]
    return [detection_command(row, NO_RUN) for row in alike]


def _of_classes(run: Run, entry: ClassPrecisions) -> list[float] | None:
    """Return a run's average precision of each class; None: there is none of such a test."""
    if run.model != entry.network or run.meta["recipe"]["global_context"]:
        return None
    for test in tests_of([run]):
        found: Mapping[str, float | None] = test.found.get("ap_pct", {})
        pcts = [pct for name in VOC_CLASSES if (pct := found.get(name)) is not None]
        plain = test.is_plainly_on(entry.test) and test.found["rule"] == entry.test.rule
        if plain and len(pcts) == len(VOC_CLASSES):
            return pcts
    return None
