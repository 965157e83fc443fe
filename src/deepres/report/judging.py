"""The rule by which a claim's comparisons are judged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from deepres.report.comparisons import Comparison, Finding
from deepres.report.samples import SMALLEST, Runs, Sample
from deepres.report.significance import LEVEL, holm

Verdict = Literal["holds", "does not hold", "undecided", "no run yet"]
SEEDS = 3
"""So many on a side tell how much seeds differ."""

RULE = (
    "Only runs of one length, one recipe, one data set and one number of images that BN sees at "
    "once are compared, each seed once. Runs that are shortened, or unlike the paper's in "
    "another way, are judged apart, and say nothing of the paper's; of several kinds the summary "
    "shows that nearest to the paper's which decides. Runs of several precisions are judged "
    "together, and it is said.",
    f"With fewer than {SEEDS} seeds on a side a comparison is undecided. One exception: a run of "
    "each side, of the lowest seed that both have or else of each its lowest, is taken, and if the "
    "answers of both to the same test images are kept (deepres evaluate) they are compared image "
    "by image, by McNemar's test, and two detectors by the bootstrap over the images of their "
    "test. The verdict then says so, for it is one on these two trained networks; where the means "
    "of all seeds point the other way it is not given.",
    "Means are compared by Welch's t-test, trends along several networks by the test of Jonckheere "
    "and Terpstra. That a difference lies inside a margin (that networks are alike) holds when the "
    "95 % interval of the difference does, and does not hold when that lies outside. A training "
    "error is the mean over a twentieth of the training.",
    "All tests are two-sided, at 5 % for a claim as a whole: p is adjusted for its comparisons by "
    "Holm's rule. So of a hundred claims about equals at most about five get a verdict by "
    "chance, of those on three seeds each three or four.",
    "A claim holds when all of its comparisons hold, and does not hold when one of them does not. "
    "The single steps of a trend can contradict it, but need not be significant themselves.",
)
"""What the page says of all that follows."""


@dataclass(frozen=True)
class Evidence:
    """A comparison's numbers and its verdict."""

    comparison: Comparison
    samples: tuple[Sample, ...]
    """Of its sides."""
    finding: Finding | None
    """None: nothing could be tested."""
    p: float | None
    """Two-sided, adjusted for the claim's other comparisons."""
    verdict: Verdict
    remark: str
    """What is missing, or what the verdict rests on."""

    @property
    def is_missing(self) -> bool:
        """Whether a side has no number."""
        return self.verdict == "no run yet"

    @property
    def difference(self) -> float | None:
        """Of the first side and the last, if they have numbers."""
        if self.is_missing:
            return None
        if self.finding is not None:
            return self.finding.difference
        first, last = self.samples[0].mean, self.samples[-1].mean
        return first / max(last, SMALLEST) if self.comparison.measure.ratio else first - last


def judge_all(comparisons: Sequence[Comparison], runs: Runs) -> tuple[Evidence, ...]:
    """Judge a claim's comparisons together on ``runs``."""
    samples = [comparison.samples(runs) for comparison in comparisons]
    findings = [
        comparison.test_paired(sides) if too_few(sides) else comparison.test(sides)
        for comparison, sides in zip(comparisons, samples, strict=True)
    ]
    adjusted = iter(holm([finding.p for finding in findings if finding]))
    return tuple(
        _evidence(comparison, sides, finding, next(adjusted) if finding else None)
        for comparison, sides, finding in zip(comparisons, samples, findings, strict=True)
    )


def _evidence(
    comparison: Comparison, samples: tuple[Sample, ...], finding: Finding | None, p: float | None
) -> Evidence:
    few = too_few(samples)
    if missing := [sample.label for sample in samples if not sample.n]:
        remark = f"no {comparison.measure.name} of {' and '.join(missing)}"
        return Evidence(comparison, samples, None, None, "no run yet", remark)
    if finding is None or p is None:
        remark = f"{few}; {SEEDS} would decide"
        return Evidence(comparison, samples, None, None, "undecided", remark)
    verdict: Verdict = "undecided"
    if p < LEVEL:
        verdict = "holds" if finding.p_for < finding.p_against else "does not hold"
    remark = ", ".join(filter(None, [few, finding.test]))
    return Evidence(comparison, samples, finding, p, verdict, remark)


def too_few(samples: Sequence[Sample]) -> str:
    """Say how many seeds there are where they are too few; nothing: there are enough."""
    sides = [sample for sample in samples if not sample.exact]
    few = [sample for sample in sides if sample.n < SEEDS]
    counts = {sample.n for sample in sides}
    if few and len(counts) == 1:
        return _seeds(counts.pop()) + (" each" if len(sides) > 1 else "")
    return ", ".join(f"{_seeds(sample.n)} of {sample.label}" for sample in few)


def _seeds(count: int) -> str:
    return {0: "no seed", 1: "one seed"}.get(count, f"{count} seeds")


def combined(evidence: Iterable[Evidence]) -> Verdict:
    """Return the verdict on a claim from those on its comparisons."""
    found = list(evidence)
    verdicts = {each.verdict for each in found}
    if "does not hold" in verdicts:
        return "does not hold"
    if {each.verdict for each in found if not each.comparison.supporting} == {"holds"}:
        return "holds"
    return "no run yet" if verdicts == {"no run yet"} else "undecided"
