"""Detectors put to the test, with appendix B's improvements; what is found is noted in the run."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from deepres.data.detection.records import DetectionSet
from deepres.detection.faster_rcnn import Detector
from deepres.detection.inference import PLAIN, Improvements, improvements_in_use
from deepres.evaluation.detection.detector_inference import DetectionResults, detect_all
from deepres.evaluation.detection.evaluation_log import detection_entry, note_detection
from deepres.evaluation.evaluation_log import noted_tests
from deepres.evaluation.under_test import UnderTest, may_be_kept
from deepres.execution import Execution
from deepres.run_weights import called_together


class Tested(NamedTuple):
    """What a test found."""

    title: str
    """What was tested, in words."""
    found: DetectionResults
    scores: dict[str, Any]
    """Only the leader has any, and only of images of which it is known what is on them."""

    @property
    def label(self) -> str:
        """What was tested, and on what, in words."""
        data = self.found.data
        return f"{self.title}: {len(data):,} images of {data.name}"


class DetectorTests:
    """The tests of some detectors on one data set.

    Args:
        tested: the detectors, on one device.
        data: what to test on.
        execution: where they are, and which processes share the work.

    Raises:
        UserError: a run's evaluations.json, where a test is noted, is damaged.
    """

    def __init__(
        self, tested: Sequence[UnderTest[Detector]], data: DetectionSet, execution: Execution
    ) -> None:
        self.tested, self.data, self.execution = tested, data, execution
        for run in filter(None, [each.run for each in tested]):
            noted_tests(run.path)

    def ablation(self, scales: tuple[int, ...]) -> list[Tested]:
        """Run Table 9's tests, as far as there are detectors for them."""
        with_context = [each for each in self.tested if each.network.settings.global_context]
        without = [each for each in self.tested if each not in with_context]
        refined = Improvements(box_refinement=True)
        everything = Improvements(box_refinement=True, scales=scales)
        tests = []
        if without:
            tests += [(without[:1], PLAIN), (without[:1], refined)]
        if with_context:
            tests.append((with_context[:1], refined))
        else:
            self.execution.say(
                "no row for global context: no run was trained with --set global_context=true"
            )
        best = with_context or without
        tests.append((best[:1], everything))
        if len(best) > 1:
            tests.append((best, everything))
        return [self.run(members, improvements) for members, improvements in tests]

    def run(self, members: Sequence[UnderTest[Detector]], improvements: Improvements) -> Tested:
        """Test a detector or an ensemble, and note it beside the first one's run."""
        detectors = [each.network for each in members]
        used = improvements_in_use(detectors, improvements)
        names = called_together([each.path for each in members])
        title = " + ".join([names[0] if len(names) == 1 else f"ensemble of {len(names)}", *used])
        self.execution.say(f"testing {title}")
        found = detect_all(detectors, self.data, self.execution, improvements)
        if not self.execution.world.leader or not self.data.annotated:
            return Tested(title, found, {})
        scores = found.scores(resample=True)
        still = partial(may_be_kept, members, self.execution.say)
        if run := members[0].run:
            together = names if len(names) > 1 else []
            entry = detection_entry(self.data, scores, self.execution.provenance(), used, together)
            note_detection(run.path, entry, still)
        return Tested(title, found, scores)
