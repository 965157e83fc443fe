"""A claim of the paper, and what runs say of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from deepres.report.comparisons import Comparison
from deepres.report.grouping import PAPER_LENGTH, comparable, nearest, what_it_is
from deepres.report.judging import Evidence, Verdict, combined, judge_all
from deepres.report.runs import Run
from deepres.report.untrained import AT_INITIALISATION, Untrained


@dataclass(frozen=True)
class Claim:
    """What the paper says, where, and when it is so."""

    id: str
    name: str
    """In a few words."""
    section: str
    sentence: str
    comparisons: tuple[Comparison, ...]
    untrained: bool = False
    """Whether it is about networks at initialisation."""
    ours: bool = False
    """Whether its networks, or the recipe of some, are our choice: the paper says it of others."""

    @property
    def networks(self) -> list[str]:
        """Whose runs it needs."""
        return list(dict.fromkeys(n for each in self.comparisons for n in each.networks))


@dataclass(frozen=True)
class Judgement:
    """A claim judged on runs that are alike in all but network and seed."""

    papers: bool
    """Whether the runs are the paper's: of full length, by its recipe, on its data."""
    on: str
    """What the runs are, in words."""
    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> Verdict:
        """On the whole claim."""
        return combined(self.evidence)

    @property
    def runs(self) -> list[Run]:
        """The runs that it rests on."""
        samples = [sample for each in self.evidence for sample in each.samples]
        return list({run.path: run for sample in samples for run in sample.runs}.values())

    @property
    def remark(self) -> str:
        """How much of the claim was judged, on how many seeds, and in which precisions."""
        judged = [each for each in self.evidence if not each.is_missing]
        parts = []
        if 0 < len(judged) < len(self.evidence):
            parts.append(f"{len(judged)} of {len(self.evidence)} comparisons have runs")
        few = [each.remark for each in judged if "seed" in each.remark]
        if few and len({each.remark for each in judged}) == 1:
            parts.append(few[0])
        elif few:
            parts.append("too few seeds for some")
        found = (way.get("precision") for run in self.runs for way in run.provenances)
        if len(precisions := [each for each in dict.fromkeys(found) if each]) > 1:
            parts.append(f"{' and '.join(precisions)} together")
        return "; ".join(parts)


def judge(claim: Claim, runs: Iterable[Run]) -> list[Judgement]:
    """Judge ``claim`` on each set of runs that may be compared, the paper's own first.

    Only finished runs are compared, of one length, one recipe and one data set, and a seed counts
    once. There is always a judgement on the paper's runs, and those that say something come first;
    others, nearest to the paper's first, only where at least one comparison has both of its sides.
    """
    papers, others = [], []
    fitting = [run for run in runs if run.result and isinstance(run, Untrained) == claim.untrained]
    for group in comparable(fitting):
        run, evidence = nearest(group), judge_all(claim.comparisons, group)
        judgement = Judgement(run.is_papers, what_it_is(run), evidence)
        if judgement.papers and group.keys() & set(claim.networks):
            papers.append(judgement)
        elif not judgement.papers and judgement.verdict != "no run yet":
            others.append(judgement)
    on = AT_INITIALISATION if claim.untrained else PAPER_LENGTH
    nothing = Judgement(True, on, judge_all(claim.comparisons, {}))
    papers.sort(key=lambda judgement: judgement.verdict == "no run yet")
    return [*(papers or [nothing]), *others]
