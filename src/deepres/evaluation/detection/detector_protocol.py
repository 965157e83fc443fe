"""Detectors put to the test, with appendix B's improvements; what is found is noted in the run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deepres.data.detection.records import DetectionSet
from deepres.detection.faster_rcnn import Detector
from deepres.detection.inference import PLAIN, Improvements, improvements_in_use
from deepres.evaluation.detection.detector_inference import DetectionResults, detect_all
from deepres.evaluation.detection.evaluation_log import detection_entry, note_detection
from deepres.evaluation.evaluation_log import noted_tests
from deepres.evaluation.replaced_weights import may_be_noted
from deepres.execution import Execution
from deepres.run_weights import called_together, run_of


class Tested(NamedTuple):
    """What a test found."""

    title: str
    """What was tested, in words."""
    found: DetectionResults
    scores: dict[str, Any]
    """Only the leader has any, and only of images of which it is known what is on them."""
    kept: bool = True
    """Whether it may be kept beside the run: its weights are those that were tested."""

    @property
    def label(self) -> str:
        """What was tested, and on what, in words."""
        data = self.found.data
        return f"{self.title}: {len(data):,} images of {data.name}"


class DetectorTests:
    """The tests of some detectors on one data set.

    Args:
        paths: of the runs or weight files.
        digests: of the weights' files, before they were loaded.
        detectors: these, on one device.
        data: what to test on.
        execution: where they are, and which processes share the work.

    Raises:
        UserError: a run's evaluations.json, where a test is noted, is damaged.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        digests: Sequence[str],
        detectors: Sequence[Detector],
        data: DetectionSet,
        execution: Execution,
    ) -> None:
        self.paths, self.digests, self.detectors, self.data = paths, digests, detectors, data
        self.execution = execution
        for run in filter(None, map(run_of, paths)):
            noted_tests(run.path)

    def ablation(self, scales: tuple[int, ...]) -> list[Tested]:
        """Run Table 9's tests, as far as there are detectors for them."""
        with_context = [
            i for i, detector in enumerate(self.detectors) if detector.settings.global_context
        ]
        without = [i for i in range(len(self.detectors)) if i not in with_context]
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

    def run(self, members: Sequence[int], improvements: Improvements) -> Tested:
        """Test a detector or an ensemble, and note it beside the first one's run."""
        detectors = [self.detectors[i] for i in members]
        used = improvements_in_use(detectors, improvements)
        names = called_together([self.paths[i] for i in members])
        title = " + ".join([names[0] if len(names) == 1 else f"ensemble of {len(names)}", *used])
        self.execution.say(f"testing {title}")
        found = detect_all(detectors, self.data, self.execution, improvements)
        if not self.execution.world.leader or not self.data.annotated:
            return Tested(title, found, {})
        scores = found.scores(resample=True)
        paths, digests = [self.paths[i] for i in members], [self.digests[i] for i in members]
        kept = may_be_noted(paths, digests, self.execution.say)
        if kept and (run := run_of(paths[0])):
            together = names if len(names) > 1 else []
            now = self.execution.provenance()
            note_detection(run.path, detection_entry(self.data, scores, now, used, together))
        return Tested(title, found, scores, kept)
