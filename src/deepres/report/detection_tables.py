"""Tables 7 to 9 and 12 to 14, detection and localization, our numbers beside the published."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from deepres.report.detection_runs import Test, tests_of
from deepres.report.published import LOCALIZATION_IMAGES
from deepres.report.published_detection import (
    TABLE_7,
    TABLE_8,
    TABLE_9,
    TABLE_12,
    TABLE_13,
    TABLE_14,
    VOC12_TEST,
    DetectionResult,
    LocalizationResult,
)
from deepres.report.render import Table
from deepres.report.rows import (
    PUBLISHED_ONLY,
    Best,
    Measurement,
    ResultRow,
    digits,
    other_row,
    result_rows,
    result_table,
    state_of,
)
from deepres.report.runs import Run
from deepres.run_contents import CONTEXT, MULTI_SCALE, REFINEMENT

OPTIONS = {REFINEMENT: "--refine", MULTI_SCALE: "--multi-scale"}
"""Of ``deepres detect evaluate``, for the improvements of testing."""
UNTESTED = "trained, test missing"
VOC_RULES = ("11-point", "area")
NOTES = (
    "{what} in %. Ours: the best run (mean ± sample standard deviation) of n seeds. Difference: "
    "the mean of ours minus the published number.",
    "Other runs are shortened, depart from the paper's recipe, or are of other images or tests.",
)
PLACEHOLDERS = (
    "In commands WEIGHTS are the network's, trained to classify ImageNet, and RUN is the folder of "
    "a run."
)


OF_ONE_RUN = (
    "After a single run's number ± is its standard error, for other test images (bootstrap); runs "
    "that were tested before it was kept have none."
)


@dataclass(frozen=True)
class PublishedRow:
    """A published row, and which tests belong to it."""

    names: list[str]
    published_pct: tuple[float, ...]
    takes: Callable[[Test], bool]
    images: int | None
    """How many the paper tests on."""
    state: str
    """Why there is no number of ours, if there is none."""
    command: str
    """What brings the number about; nothing: it is published only."""
    rule: str | None = None
    """How average precision is computed."""

    def condition(self, test: Test) -> str:
        """Return what sets a test that belongs here apart from the paper's."""
        papers = test.found["images"] == self.images and not test.is_altered
        parts = [test.run.condition, "" if papers else test.images]
        parts.append("" if test.found.get("rule") == self.rule else f"rule {test.found['rule']}")
        return ", ".join(filter(None, [*parts, *test.unlike_papers_classes]))


def table7(runs: Iterable[Run]) -> Table:
    """Return §4.3's detectors on PASCAL VOC."""
    name = "Table 7: Faster R-CNN on PASCAL VOC, mAP at an overlap of 0.5"
    return _detection(name, TABLE_7, runs, lambda test: test.found["rule"] in VOC_RULES)


def table8(runs: Iterable[Run]) -> Table:
    """Return §4.3's detectors on COCO."""

    def belongs(test: Test) -> bool:
        return test.found["rule"] == "coco" and not (test.improvements or test.members)

    return _detection("Table 8: Faster R-CNN on COCO", TABLE_8, runs, belongs)


def table9(runs: Iterable[Run]) -> Table:
    """Return appendix B's improvements on COCO."""

    def belongs(test: Test) -> bool:
        return test.found["rule"] == "coco" and bool(test.improvements or test.members)

    name = "Table 9: improvements on COCO, each on top of those above it"
    return _detection(name, TABLE_9, runs, belongs)


def table12(runs: Iterable[Run]) -> Table:
    """Return appendix B's detectors on ImageNet DET."""
    name = "Table 12: ImageNet DET, mAP at an overlap of 0.5"
    return _detection(name, TABLE_12, runs, lambda test: test.found["rule"] == "imagenet-det")


def table13(runs: Iterable[Run]) -> Table:
    """Return appendix C's errors of localization on ImageNet, for five classes or the true one."""
    runs = list(runs)
    localizers = [run for run in runs if run.kind.startswith("localization")]
    return _filled(
        "Table 13: localization error on ImageNet val",
        ["localizer", "views", "classes"],
        [""],
        [_localization_row(entry, localizers) for entry in TABLE_13],
        tests_of(localizers),
        runs,
        ["top5_error_pct"],
    )


def table14() -> Table:
    """Return appendix C's comparison of methods, which is published only."""
    rows = [[name, digits(val, 1), digits(test, 1)] for name, val, test in TABLE_14]
    name = "Table 14: localization, top-5 error in %, ImageNet"
    return Table(name, ["method", "val", "test"], rows, ["Published only."], frozenset({1, 2}))


def _detection(
    name: str,
    entries: Sequence[DetectionResult],
    runs: Iterable[Run],
    belongs: Callable[[Test], bool],
) -> Table:
    """Return a table of ``entries``, and of tests like none of them if they belong in it."""
    runs = list(runs)
    detectors = [run for run in runs if run.kind == "detection"]
    coco = any(entry.map_pct is not None for entry in entries)
    return _filled(
        name,
        ["detector", "tested on"],
        ["mAP@.5 ", "mAP@[.5, .95] "] if coco else [""],
        [_detection_row(entry, detectors) for entry in entries],
        tests_of(detectors),
        runs,
        ["map_50_pct", "map_pct"][: 1 + coco],
        belongs,
        max,
    )


def _detection_row(entry: DetectionResult, detectors: Sequence[Run]) -> PublishedRow:
    def trained(run: Run) -> bool:
        recipe = run.meta["recipe"]
        what = run.model, recipe["dataset"], recipe["global_context"]
        return what == (entry.network, entry.test.dataset, CONTEXT in entry.improvements)

    def takes(test: Test) -> bool:
        how = test.found["set"], {*test.improvements}, test.members
        return trained(test.run) and how == (entry.test.set, {*entry.improvements}, ())

    state = state_of([run for run in detectors if trained(run)], UNTESTED)
    return PublishedRow(
        [entry.label, entry.test.label],
        (entry.map_50_pct, *([] if entry.map_pct is None else [entry.map_pct])),
        takes,
        entry.test.images,
        state if entry.network else PUBLISHED_ONLY,
        detection_command(entry, state) if entry.network else "",
        entry.test.rule,
    )


def _localization_row(entry: LocalizationResult, localizers: Sequence[Run]) -> PublishedRow:
    alike = [run for run in localizers if (run.kind, run.model) == (entry.kind, entry.network)]
    papers = {run.path for run in alike if run.is_papers}

    def takes(test: Test) -> bool:
        run, found = test.run, test.found
        how = run.kind, run.model, found["views"], found["classes"], found["set"]
        wanted = entry.kind, entry.network, entry.views, entry.classes, "ImageNet val"
        members = run.members(found)
        together = bool(members) == entry.ensemble and papers.issuperset(members)
        return how == wanted and together

    state = state_of(alike, UNTESTED)
    return PublishedRow(
        [entry.label, entry.views, entry.classes],
        (entry.error_pct,),
        takes,
        LOCALIZATION_IMAGES,
        state if entry.network else PUBLISHED_ONLY,
        _localization_command(entry, state) if entry.network else "",
    )


def detection_command(entry: DetectionResult, state: str) -> str:
    """Return the command that brings about a published row's number of ours."""
    train = f"deepres detect train {entry.network} --on {entry.test.dataset}"
    if entry.test.dataset == "coco":  # which has boxes of zero size
        train += " --bad-boxes skip"
    if CONTEXT in entry.improvements:
        train += f" --set global_context=true --out runs/{entry.network}-coco-context-s0"
    options = "".join(f" {OPTIONS[each]}" for each in entry.improvements if each in OPTIONS)
    if entry.test is VOC12_TEST:  # what is on its images is not public
        options = " --on voc2012-test --save-submission FOLDER  # for VOC's server"
    test = f"deepres detect evaluate RUN{options}"
    if state == UNTESTED:
        return test
    return f"{train} --weights WEIGHTS" + (f"; {test}" if options else "")


def _localization_command(entry: LocalizationResult, state: str) -> str:
    rpn = " --rpn RPN-RUN" if entry.kind == "localization-rcnn" else ""
    train = f"deepres localize train {entry.network}{rpn} --weights WEIGHTS"
    runs = "RUN RUN" if entry.ensemble else "RUN"
    test = f"deepres localize evaluate {runs} --views {entry.views}"
    if entry.classes == "predicted":
        test += " --classes predicted"
    return test if state == UNTESTED else f"{train}; {test}"


def _filled(
    title: str,
    names: Sequence[str],
    measures: Sequence[str],
    rows: Iterable[PublishedRow],
    tests: Iterable[Test],
    runs: Iterable[Run],
    keys: Sequence[str],
    belongs: Callable[[Test], bool] = lambda test: True,
    best: Best = min,
) -> Table:
    """Return published rows with our numbers in them, and below them those that are like none.

    Args:
        title: of the table.
        names: of the columns that say whose numbers they are.
        measures: what is measured.
        rows: the published ones.
        tests: ours.
        runs: all that there are.
        keys: of what is measured, in a test.
        belongs: which tests are shown if they are like no published row.
        best: which of several numbers is the best.
    """
    shown: list[ResultRow] = []
    missing = []
    left = list(tests)
    for row in rows:
        own = [test for test in left if row.takes(test)]
        left = [test for test in left if not row.takes(test)]
        measured = [test.measurement(row.condition(test), keys) for test in own]
        printed = [digits(value, 1) for value in row.published_pct]
        shown += result_rows(row.names, printed, row.published_pct, measured, row.state, best)
        if row.command and not any(each.condition == "" for each in measured):
            missing.append((", ".join(row.names), row.command))
    others: dict[str, list[Measurement]] = {}
    for test in filter(belongs, left):
        others.setdefault(test.label(), []).append(test.measurement(test.label(), keys))
    shown += [other_row(name, each, best) for name, each in others.items()]
    what = "Errors" if best is min else "Mean average precision"
    notes = [note.format(what=what) for note in NOTES] + [OF_ONE_RUN] * (best is max)
    if missing:
        notes.append(PLACEHOLDERS)
    return result_table(title, names, measures, shown, notes, runs, missing)
