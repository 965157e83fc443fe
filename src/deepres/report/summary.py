"""The report's first screen: where each claim of the paper stands, a line each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deepres.report.claims import Claim, Judgement
from deepres.report.commands import commands_for
from deepres.report.judging import Evidence, Measure, Sample
from deepres.report.measures import MAP, MAP_50, TEST, TRAINING
from deepres.report.published import (
    RESNET_1202_TRAINING_ERROR_BELOW_PCT,
    TABLE_2,
    TABLE_3,
    TABLE_6,
)
from deepres.report.published_detection import TABLE_7, TABLE_8
from deepres.report.runs import PAPERS_DATA, Run, title

Standing = Literal["holds", "does not hold", "undecided", "in small", "no run yet"]
STANDINGS: dict[Standing, tuple[str, str]] = {
    "holds": ("hold", "Hold at the paper's length"),
    "does not hold": ("against the paper", "Come out against the paper, at its length"),
    "undecided": ("undecided", "Undecided at the paper's length"),
    "in small": ("in small only", "Judged in small only: such runs say nothing of the paper's"),
    "no run yet": ("without a run", "Without a run"),
}
"""Each in two or three words, and as a heading; those with evidence first."""

Cell = dict[str, list[str]]
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
    def is_empty(self) -> bool:
        """Whether there is nothing to show of it."""
        return all(judgement.is_empty for judgement in self.judgements)

    @property
    def others(self) -> Judgement | None:
        """On the runs nearest to the paper's that can say anything; None: there are none."""
        others = [judgement for judgement in self.judgements if not judgement.papers]
        return others[0] if others else None

    @property
    def standing(self) -> Standing:
        """By the paper's runs if they say anything, otherwise by others."""
        if self.papers.verdict != "no run yet":
            return self.papers.verdict
        return "in small" if self.others else "no run yet"


@dataclass(frozen=True)
class Line:
    """A claim in the summary."""

    judged: JudgedClaim
    judgement: Judgement
    """The one that is shown."""
    published: Cell
    ours: Cell
    contrary: list[str]
    """What comes out against the paper, in sentences."""
    commands: list[str]
    """What brings about the runs that are missing."""


def summary_line(judged: JudgedClaim, runs: Sequence[Run]) -> Line:
    """Return the line for a claim; ``runs`` are all that there are."""
    shown = judged.others if judged.standing == "in small" else None
    judgement = shown or judged.papers
    published: Cell = {}
    ours: Cell = {}
    for measure, network, sample in _sides(judgement):
        if number := _printed(measure, network):
            published.setdefault(measure.name, []).append(f"{title(network)} {number}")
        number = _measured(sample, measure.decimals)
        ours.setdefault(measure.name, []).append(f"{sample.label} {number}")
    contrary = [_contrary(each) for each in judgement.evidence if each.verdict == "does not hold"]
    return Line(judged, judgement, published, ours, contrary, commands_for(judged.claim, runs))


def _sides(judgement: Judgement) -> list[tuple[Measure, str, Sample]]:
    """Return each network's sample of each measure once, those expected to be larger first."""
    sides = {}
    for higher in (True, False):
        for each in judgement.evidence:
            network = each.comparison.sides[not higher]
            sample = each.higher if higher else each.lower
            if isinstance(network, str):
                sides[each.comparison.measure.name, network] = each.comparison.measure, sample
    return [(measure, network, sample) for (_, network), (measure, sample) in sides.items()]


def _measured(sample: Sample, decimals: int) -> str:
    """Return mean ± std (n)."""
    if not sample.n:
        return "–"
    spread = "" if sample.std is None else f" ± {sample.std:.{decimals}f}"
    return f"{sample.mean:.{decimals}f}{spread} (n = {sample.n})"


def _printed(measure: Measure, network: str) -> str | None:
    """Return the paper's number, as it prints it: of several runs the mean."""
    if measure is TRAINING and network == "resnet1202":
        return f"< {RESNET_1202_TRAINING_ERROR_BELOW_PCT}"
    if measure is TEST:
        for entry in TABLE_6:
            if entry.network == network and entry.mean_pct is not None:
                return f"{entry.mean_pct:.2f} ± {entry.std_pct:.2f}"
            if entry.network == network:
                return f"{entry.error_pct:.2f}"
        for row in (*TABLE_3, *TABLE_2):
            several = row.network == "resnet34" and row.shortcut != "A"
            if network == (f"{row.network} {row.shortcut}" if several else row.network):
                return f"{row.top1_pct:.2f} (10-crop)"
    if measure in (MAP, MAP_50):
        for each in (*TABLE_7, *TABLE_8):
            if network == f"{each.network} detector on {PAPERS_DATA[each.test.dataset]}":
                found = each.map_50_pct if measure is MAP_50 else each.map_pct
                return None if found is None else f"{found:.1f}"
    return None


def _contrary(evidence: Evidence) -> str:
    """Say how a comparison comes out against the paper."""
    measure, higher, lower = evidence.comparison.measure, evidence.higher, evidence.lower
    digits = measure.decimals
    subject = lower if higher.exact else higher
    other = higher if higher.exact else lower
    than = other.label if other.exact else f"{other.label}'s {other.mean:.{digits}f}"
    side, papers = ("above", "below") if higher.exact else ("below", "above")
    what = measure.name[:1].upper() + measure.name[1:]
    number = f"{subject.label}'s {subject.mean:.{digits}f}"
    return f"{what}: {number} is {side} {than}; the paper has it {papers}."
