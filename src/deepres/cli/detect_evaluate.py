"""deepres detect evaluate: detectors by the benchmarks' rules, with the appendix's improvements."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepres.cli.detection import (
    PRECISIONS,
    improvements_of,
    open_test_set,
    print_precisions,
    scales_for,
)
from deepres.cli.terminal import print_json, say, show
from deepres.cli.training import execution_of
from deepres.data.detection.records import DetectionSet
from deepres.data.detection.splits import official_split
from deepres.data.listing import odd_first, some
from deepres.errors import UserError
from deepres.evaluation.evaluation_log import noting_errors_last
from deepres.evaluation.under_test import UnderTest, hold
from deepres.files import check_writable
from deepres.report.detection_runs import standard_error
from deepres.run_weights import run_beside, run_of
from deepres.torchrun import is_leader

if TYPE_CHECKING:  # not everyone has torchvision
    from deepres.detection.faster_rcnn import Detector
    from deepres.detection.inference import Improvements
    from deepres.evaluation.detection.detector_protocol import Tested

Scores = dict[str, Any]


@noting_errors_last(say)
def call(options: argparse.Namespace) -> int:
    """Test, print the precisions, and note them beside the run."""
    if bool(options.runs) == bool(options.results):
        raise UserError("name either runs to test, or a results file by --results")
    if options.results and (
        options.ablation or options.refine or options.multi_scale or options.save_submission
    ):
        raise UserError(
            "--results scores a file as it is; leave out --ablation, --refine, --multi-scale and "
            "--save-submission"
        )
    if options.ablation and (options.refine or options.multi_scale or options.save_submission):
        raise UserError("--ablation chooses the improvements itself; leave out the other switches")
    if options.results:
        return _score_file(options)
    if options.save_submission and is_leader():
        check_writable(options.save_submission)
    from deepres.detection.weights import load_detector
    from deepres.evaluation.detection.detector_inference import check_submission
    from deepres.evaluation.detection.detector_protocol import DetectorTests

    execution = execution_of(options)
    leader = execution.world.leader
    beside = run_beside(options.runs[0])
    meta = beside.read_meta() if beside else None
    detectors = [UnderTest.open(run, load_detector, execution.device) for run in options.runs]
    data, name = open_test_set(options.on, options.data, meta, options.bad_boxes, pictures=True)
    for detector in detectors:
        if (finds := detector.network.classes) != data.classes:
            odd, lacking = odd_first(finds, data.classes), odd_first(data.classes, finds)
            raise UserError(
                f"{detector.path} finds {len(finds)} classes ({some(odd)}), but {data.name} has "
                f"{len(lacking)} ({some(lacking)}); they must be the same, in the same order"
            )
    if not data.annotated and not options.save_submission:
        raise UserError(
            f"what is on the images of {data.name} is not public; give --save-submission, and send "
            "the files to the benchmark's server"
        )
    if options.save_submission:
        check_submission(data)
    tests = DetectorTests(detectors, data, execution)
    improvements, single = improvements_of(options, detectors[0].network), None
    place = None if options.ablation or not data.annotated else _evidence_folder(options.runs[0])
    if options.ablation:
        tested = tests.ablation(scales_for(detectors[0].network))
    else:
        single = tests.run(detectors, improvements)
        tested = [single]
    rows = [(each.title, each.scores) for each in tested]
    if not leader:
        return 0
    written: dict[str, Path] = {}
    try:
        if single and options.save_submission:
            split = official_split(name)
            written["submission"] = single.found.write(options.save_submission, split)
        if single and place:
            with hold(detectors) as kept:
                if kept:
                    networks = [each.network for each in detectors]
                    written["pictures"] = _leave_evidence(place, single, networks, improvements)
    finally:  # whether it can be written or not: the numbers are what took the time
        _tell(options.json, data, rows, written)
    return 0


def _tell(
    as_json: bool, data: DetectionSet, rows: list[tuple[str, Scores]], written: dict[str, Path]
) -> None:
    """Print what was found and written."""
    if as_json:
        tests = [_in_json(title, scores) for title, scores in rows]
        files = {what: str(path) for what, path in written.items()}
        print_json({"data": data.name, "images": len(data), "tests": tests, "files": files})
        return
    if data.annotated:
        print_precisions(f"{len(data):,} images of {data.name}", rows)
    for what, path in written.items():
        show(f"{what}: {path}")


def _in_json(title: str, scores: Scores) -> dict[str, Any]:
    """Return a test with the standard errors in the place of the draws that they are from."""
    found = {key: value for key, value in scores.items() if key != "resampled"}
    errors = {key: standard_error(scores, key) for key in PRECISIONS if key in scores}
    return {"test": title, **found, "standard_errors_pct": errors}


def _evidence_folder(weights: Path) -> Path | None:
    """Return the run that a test's curves and pictures go beside; None: they go nowhere.

    Raises:
        UserError: files that deepres has not written would be replaced.
    """
    from deepres.evaluation.detection.artifacts import check_replaceable

    run = run_of(weights)
    if run is None or not os.access(run.path, os.W_OK):
        return None
    check_replaceable(run.path)
    return run.path


def _leave_evidence(
    folder: Path, tested: "Tested", detectors: "list[Detector]", improvements: "Improvements"
) -> Path:
    """Write the curves and pictures of a test; return the latter."""
    from deepres.evaluation.detection.artifacts import write_curves, write_pictures
    from deepres.evaluation.detection.average_precision import AveragePrecision

    found = tested.found
    # COCO's program takes minutes, and leaves no curve at one overlap.
    result = None if found.rule == "coco" else found.result()
    if isinstance(result, AveragePrecision):
        write_curves(folder, result, tested.label)
    return write_pictures(folder, detectors, found.data, improvements, tested.label)


def _score_file(options: argparse.Namespace) -> int:
    from deepres.evaluation.detection.detector_inference import read_results

    data, _ = open_test_set(options.on, options.data, None, options.bad_boxes, pictures=False)
    scores = read_results(options.results, data).scores(resample=True)
    _tell(options.json, data, [(str(options.results), scores)], {})
    return 0
