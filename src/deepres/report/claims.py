"""The paper's claims, each a sentence and the comparisons of runs that decide it."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from deepres.report.judging import Above, Evidence, Measure, Runs, Verdict, combined
from deepres.report.measures import (
    BACKWARD,
    EARLY_TRAINING,
    FORWARD,
    MAP,
    MAP_50,
    RESPONSE,
    TEST,
    TRAINING,
)
from deepres.report.runs import PAPERS_DATA, Run, alike, on_data

PAPER_LENGTH = "paper-length"
VANISHED = 0.001
"""A signal below this share of where it came from counts as vanished."""


@dataclass(frozen=True)
class Claim:
    """What the paper says, where, and when it is so."""

    id: str
    name: str
    """In a few words."""
    section: str
    sentence: str
    comparisons: tuple[Above, ...]

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
        return combined(each.verdict for each in self.evidence)

    @property
    def runs(self) -> list[Run]:
        """The runs that it rests on."""
        sides = [side for each in self.evidence for side in (each.higher, each.lower)]
        return list({run.path: run for side in sides for run in side.runs}.values())

    @property
    def is_empty(self) -> bool:
        """Whether not a single side of a comparison has a run."""
        sides = [side for each in self.evidence for side in (each.higher, each.lower)]
        return not any(side.n for side in sides if not side.exact)

    @property
    def remark(self) -> str:
        """How much of the claim was judged, and whether on single runs."""
        judged = [each for each in self.evidence if each.difference is not None]
        parts = []
        if 0 < len(judged) < len(self.evidence):
            parts.append(f"{len(judged)} of {len(self.evidence)} comparisons have runs")
        single = [each for each in judged if "one run" in each.remark]
        if single and len({each.remark for each in judged}) == 1:
            parts.append(single[0].remark)
        elif single:
            parts.append("some on one run")
        return "; ".join(parts)


def falling(measure: Measure, *networks: str) -> tuple[Above, ...]:
    """Return the comparisons that ``measure`` falls from each network to the next."""
    return tuple(Above(measure, a, b) for a, b in itertools.pairwise(networks))


def _better_detector(network: str, other: str, data: str, *measures: Measure) -> tuple[Above, ...]:
    sides = [f"{each} detector on {data}" for each in (network, other)]
    return tuple(Above(measure, *sides) for measure in measures)


def _signals_kept(*networks: str) -> tuple[Above, ...]:
    return tuple(Above(m, network, VANISHED) for network in networks for m in (FORWARD, BACKWARD))


CLAIMS = (
    Claim(
        "degradation",
        "Plain nets degrade with depth",
        "§1, §4.2, Figure 1",
        "Plain nets degrade: the 56-layer net has a higher training error than the 20-layer one, "
        "and so a higher test error.",
        (Above(TRAINING, "plain56", "plain20"), Above(TEST, "plain56", "plain20")),
    ),
    Claim(
        "no-degradation",
        "Residual nets do not degrade",
        "§4.2, Figure 6",
        "Residual nets do not degrade: ResNet-56 has a lower training error than ResNet-20.",
        (Above(TRAINING, "resnet20", "resnet56"),),
    ),
    Claim(
        "deeper-is-better",
        "Deeper residual nets are better",
        "§4.2, Table 6",
        "Deeper residual nets are better: the test error falls from 20 to 32, 44, 56 and 110 "
        "layers.",
        falling(TEST, "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
    ),
    Claim(
        "residual-beats-plain",
        "Residual beats plain at 56 layers",
        "§4.2, Figure 6",
        "At 56 layers the residual net beats its plain twin, in training and in test.",
        (Above(TRAINING, "plain56", "resnet56"), Above(TEST, "plain56", "resnet56")),
    ),
    Claim(
        "110-is-best",
        "ResNet-110 is the best",
        "§4.2, Table 6",
        "ResNet-110 has the lowest test error of all.",
        tuple(
            Above(TEST, network, "resnet110")
            for network in ("resnet20", "resnet32", "resnet44", "resnet56", "resnet1202")
        ),
    ),
    Claim(
        "1202-overfits",
        "ResNet-1202 overfits",
        "§4.2, Table 6",
        "ResNet-1202 trains to an error below 0.1 %, and yet tests worse than ResNet-110: it "
        "overfits.",
        (Above(TRAINING, 0.1, "resnet1202"), Above(TEST, "resnet1202", "resnet110")),
    ),
    Claim(
        "identity-beats-gates",
        "Identity shortcuts beat gates",
        "§2, Table 6",
        "Identity shortcuts do better than gated ones: ResNet-32 tests better than the 32-layer "
        "highway net.",
        (Above(TEST, "highway32", "resnet32"),),
    ),
    Claim(
        "signals-do-not-vanish",
        "Signals do not vanish in plain nets",
        "§4.1",
        "In plain nets neither forward nor backward signals vanish: no layer's forward standard "
        "deviation is below 1/1000 of the first layer's, and no gradient norm below 1/1000 of the "
        "last layer's.",
        _signals_kept("plain20", "plain56"),
    ),
    Claim(
        "residual-responses-are-smaller",
        "Residual nets respond less than plain ones",
        "§4.2, Figure 7",
        "The layers of residual nets respond less than those of plain nets.",
        (Above(RESPONSE, "plain20", "resnet20"), Above(RESPONSE, "plain56", "resnet56")),
    ),
    Claim(
        "responses-shrink-with-depth",
        "Deeper residual nets respond less",
        "§4.2, Figure 7",
        "The deeper a residual net, the less its layers respond: from 20 to 56 to 110 layers.",
        falling(RESPONSE, "resnet20", "resnet56", "resnet110"),
    ),
    Claim(
        "imagenet-degradation",
        "Plain nets degrade on ImageNet, too",
        "§4.1, Table 2, Figure 4",
        "On ImageNet the 34-layer plain net is worse than the 18-layer one, in training and in "
        "validation.",
        (Above(TRAINING, "plain34", "plain18"), Above(TEST, "plain34", "plain18")),
    ),
    Claim(
        "imagenet-no-degradation",
        "Residual nets do not degrade on ImageNet",
        "§4.1, Table 2, Figure 4",
        "On ImageNet ResNet-34 is better than ResNet-18, in training and in validation.",
        (Above(TRAINING, "resnet18", "resnet34"), Above(TEST, "resnet18", "resnet34")),
    ),
    Claim(
        "converges-faster",
        "ResNet-18 converges faster than plain-18",
        "§4.1, Figure 4",
        "The 18-layer residual net converges faster than the plain one: its training error is "
        "lower half-way to the first drop of the learning rate.",
        (Above(EARLY_TRAINING, "plain18", "resnet18"),),
    ),
    Claim(
        "options-beat-plain",
        "Options A, B and C beat the plain net",
        "§4.1, Table 3",
        "ResNet-34 with each of the shortcut options A, B and C is better than plain-34.",
        tuple(
            Above(TEST, "plain34", network) for network in ("resnet34", "resnet34 B", "resnet34 C")
        ),
    ),
    Claim(
        "bottlenecks-go-deeper",
        "50, 101 and 152 layers are better still",
        "§4.1, Table 3",
        "The networks of 50, 101 and 152 layers are better than the 34-layer one, each better "
        "than the one before.",
        falling(TEST, "resnet34", "resnet50", "resnet101", "resnet152"),
    ),
    Claim(
        "depth-transfers-to-voc07",
        "Depth helps detection: VOC 2007",
        "§4.3, Table 7",
        "Faster R-CNN on ResNet-101 is better than on VGG-16, everything else equal: PASCAL VOC "
        "2007.",
        _better_detector("resnet101", "vgg16", PAPERS_DATA["voc07+12"], MAP_50),
    ),
    Claim(
        "depth-transfers-to-voc12",
        "Depth helps detection: VOC 2012",
        "§4.3, Table 7",
        "Faster R-CNN on ResNet-101 is better than on VGG-16, everything else equal: PASCAL VOC "
        "2012.",
        _better_detector("resnet101", "vgg16", PAPERS_DATA["voc07++12"], MAP_50),
    ),
    Claim(
        "depth-transfers-to-coco",
        "Depth helps detection: COCO",
        "§4.3, Table 8",
        "Faster R-CNN on ResNet-101 is better than on VGG-16, everything else equal: COCO, by "
        "both measures.",
        _better_detector("resnet101", "vgg16", PAPERS_DATA["coco"], MAP_50, MAP),
    ),
)


def judge(claim: Claim, runs: Iterable[Run]) -> list[Judgement]:
    """Judge ``claim`` on each set of runs that may be compared, the paper's own first.

    Only finished runs of one length, one recipe and one data set are compared with each other, and
    a seed counts once. There is always a judgement on the paper's runs; others, nearest to the
    paper's first, only where at least one comparison has both of its sides.
    """
    papers, others = [], []
    for group in comparable(run for run in runs if run.result):
        evidence = tuple(comparison.judge(group) for comparison in claim.comparisons)
        some_run = next(iter(group.values()))[0]
        judgement = Judgement(some_run.is_papers, what_it_is(some_run), evidence)
        if judgement.papers and group.keys() & set(claim.networks):
            papers.append(judgement)
        elif not judgement.papers and judgement.verdict != "no run yet":
            others.append(judgement)
    nothing = Judgement(True, PAPER_LENGTH, tuple(c.judge({}) for c in claim.comparisons))
    return [*(papers or [nothing]), *others]


def what_it_is(run: Run) -> str:
    """Say at which length a run stands, and what else sets it apart from the paper's."""
    if run.is_papers:
        return PAPER_LENGTH
    if run.steps < run.papers_steps:
        return f"shortened: {run.condition}"
    return f"full length, but {run.condition}"


def comparable(runs: Iterable[Run]) -> list[Runs]:
    """Group ``runs`` by what must be the same in a comparison: length, recipe and data.

    In each group they lie by network, one run for each seed; the paper's are first.
    """
    runs = list(runs)
    groups: list[Runs] = []
    for condition in alike(runs):
        same = [run for run in runs if run.condition == condition]
        # Two data sets may have one name.
        for data in dict.fromkeys(run.meta["data"]["fingerprint"] for run in same):
            by_network: dict[str, list[Run]] = {}
            for run in same:
                if run.meta["data"]["fingerprint"] == data:
                    by_network.setdefault(network_of(run), []).append(run)
            groups.append({name: alike(each)[condition] for name, each in by_network.items()})
    return groups


def network_of(run: Run) -> str:
    """Return the run's network, with what tells several apart: Table 3's option, or the data."""
    if not run.is_classifier:
        return on_data(run)
    several = run.model == "resnet34" and run.shortcut != "A"
    return f"{run.model} {run.shortcut}" if several else run.model
