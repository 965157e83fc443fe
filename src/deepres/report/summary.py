"""Where each claim of the paper stands, a line each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deepres.report.claim import Claim, Judgement
from deepres.report.commands import commands_for
from deepres.report.judging import Evidence
from deepres.report.measures import (
    LOWEST_TEST,
    MAP,
    MAP_50,
    MAP_RATIO,
    TEST,
    TOP1_10_CROP,
    TOP5_MULTI_SCALE,
    TRAINING,
)
from deepres.report.names import papers_detector, title
from deepres.report.published import (
    PLAIN_110_ERROR_ABOVE_PCT,
    RESNET_1202_TRAINING_ERROR_BELOW_PCT,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLE_6,
    ImageNetResult,
)
from deepres.report.published_detection import TABLE_7, TABLE_8
from deepres.report.runs import Run
from deepres.report.samples import Measure, Sample

Standing = Literal["holds", "does not hold", "undecided", "on others", "ours", "no run yet"]
STANDINGS: dict[Standing, str] = {
    "holds": "Hold at the paper's length",
    "does not hold": "Come out against the paper",
    "undecided": "Undecided at the paper's length",
    "on others": "Judged on runs in small or by another recipe: they say nothing of the paper's",
    "ours": "Checks of ours: the paper says it of other networks, or of ones trained otherwise",
}
"""Each that rests on runs, as a heading."""
STRIP: dict[str, tuple[Standing, ...]] = {
    "At the paper's length": ("holds", "does not hold", "undecided"),
    "On other runs": ("on others",),
    "Checks of ours": ("ours",),
    "Not yet run": ("no run yet",),
}
"""Which stand together where all claims are seen at a glance."""

ByMeasure = dict[str, list[str]]
"""Numbers with their networks, by what is measured."""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim and what the runs say of it."""

    claim: Claim
    judgements: list[Judgement]

    @property
    def papers(self) -> Judgement:
        """On the paper's runs."""
        return self.judgements[0]

    @property
    def others(self) -> Judgement | None:
        """On the runs nearest to the paper's that decide, or else say anything; None: none do."""
        others = [judgement for judgement in self.judgements if not judgement.papers]
        return min(others, key=lambda each: each.verdict == "undecided", default=None)

    @property
    def shown(self) -> Judgement:
        """On the paper's runs if they say anything, otherwise on others."""
        return self.papers if self.papers.verdict != "no run yet" else self.others or self.papers

    @property
    def standing(self) -> Standing:
        """By the judgement that is shown; what we check ourselves stands apart."""
        verdict = self.shown.verdict
        if verdict == "no run yet":
            return verdict
        if self.claim.ours:
            return "ours"
        return verdict if self.shown.papers else "on others"


@dataclass(frozen=True)
class Line:
    """A claim in the summary."""

    judged: JudgedClaim
    judgement: Judgement
    """The one that is shown."""
    published: ByMeasure
    ours: ByMeasure
    contrary: list[str]
    """What comes out against the paper, in sentences."""
    commands: list[str]
    """What brings about the runs that are missing."""


def summary_line(judged: JudgedClaim, runs: Sequence[Run]) -> Line:
    """Return the line for a claim; ``runs`` are all that there are."""
    judgement = judged.shown
    published: ByMeasure = {}
    ours: ByMeasure = {}
    for measure, network, sample in _sides(judgement):
        if number := _printed(measure, network):
            published.setdefault(measure.name, []).append(f"{title(network)} {number}")
        number = described(sample, measure.decimals)
        ours.setdefault(measure.name, []).append(f"{sample.label} {number}")
    contrary = [_contrary(each) for each in judgement.evidence if each.verdict == "does not hold"]
    return Line(judged, judgement, published, ours, contrary, commands_for(judged.claim, runs))


def _sides(judgement: Judgement) -> list[tuple[Measure, str, Sample]]:
    """Return each network's sample of each measure once, those expected to be larger first."""
    sides: dict[tuple[str, str], tuple[Measure, Sample]] = {}
    trends_first = sorted(judgement.evidence, key=lambda each: -len(each.samples))
    for last in (False, True):
        for each in trends_first:
            measure, networks = each.comparison.measure, each.comparison.sides
            for i, (network, sample) in enumerate(zip(networks, each.samples, strict=True)):
                if isinstance(network, str) and (i == len(networks) - 1) == last:
                    sides.setdefault((measure.name, network), (measure, sample))
    return [(measure, network, sample) for (_, network), (measure, sample) in sides.items()]


def described(sample: Sample, decimals: int) -> str:
    """Return mean ± std (n); of a constant nothing."""
    if sample.exact:
        return ""
    if not sample.n:
        return "–"
    spread = "" if sample.std is None else f" ± {sample.std:.{decimals}f}"
    return f"{sample.mean:.{decimals}f}{spread} (n = {sample.n})"


def published_number(measure: Measure, network: str) -> float | None:
    """Return the paper's number for a network, of several runs the mean; None: it has none."""
    found: dict[str | None, float | None]
    if measure is TEST:
        found = {row.network: row.mean_pct or row.error_pct for row in TABLE_6}
    elif measure is TOP1_10_CROP:
        found = {_name(row): row.top1_pct for row in (*TABLE_2, *TABLE_3)}
    elif measure is TOP5_MULTI_SCALE:
        found = {_name(row): row.top5_pct for row in TABLE_4}
    else:
        key = {MAP_50: "map_50_pct", MAP: "map_pct", MAP_RATIO: "map_pct"}.get(measure)
        found = {
            papers_detector(row.network, row.test.dataset): getattr(row, key)
            for row in (*TABLE_7, *TABLE_8)
            if key and row.network
        }
    return found.get(network)


def _name(row: ImageNetResult) -> str | None:
    """Return what runs of a row's network are grouped as."""
    several = row.network == "resnet34" and row.shortcut != "A"
    return f"{row.network} {row.shortcut}" if several else row.network


def _printed(measure: Measure, network: str) -> str | None:
    """Return the paper's number, as it prints it."""
    if measure is TRAINING and network == "resnet1202":
        return f"< {RESNET_1202_TRAINING_ERROR_BELOW_PCT}"
    if measure is LOWEST_TEST and network == "plain110":
        return f"> {PLAIN_110_ERROR_ABOVE_PCT:g}"
    number = published_number(measure, network)
    if number is None:
        return None
    spreads = {row.network: row.std_pct for row in TABLE_6} if measure is TEST else {}
    spread = spreads.get(network)
    decimals = 1 if measure in (MAP, MAP_50, MAP_RATIO) else 2
    return f"{number:.{decimals}f}" + (f" ± {spread:.2f}" if spread else "")


def _contrary(evidence: Evidence) -> str:
    """Say how a comparison comes out against the paper."""
    measure = evidence.comparison.measure
    numbers = [
        sample.label if sample.exact else f"{sample.label} {sample.mean:.{measure.decimals}f}"
        for sample in evidence.samples
    ]
    what = measure.name[:1].upper() + measure.name[1:]
    return f"{what}: {', '.join(numbers)}; expected: {evidence.comparison.question}."
