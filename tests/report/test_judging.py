import math
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_runs import make_run

from deepres.report.comparisons import Above, Comparison, Trend, Within, falling
from deepres.report.judging import Evidence, combined, judge_all
from deepres.report.runs import Run
from deepres.report.samples import Measure, Runs

NUMBERS: dict[Path, float] = {}
ERROR = Measure("error", lambda run: NUMBERS[run.path])


@pytest.fixture(scope="module")
def some_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("run") / "plain20-s0", "plain20")


@pytest.fixture
def runs(some_run: Run) -> "Made":
    return Made(some_run)


class Made(dict[str, list[Run]]):
    """Runs whose ``ERROR`` is made up."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def add(self, network: str, *numbers: float) -> "Made":
        for number in numbers:
            path = Path(f"{network}-{len(self.get(network, []))}")
            NUMBERS[path] = number
            self.setdefault(network, []).append(replace(self.run, path=path))
        return self


def one(comparison: Comparison, runs: Runs) -> Evidence:
    (evidence,) = judge_all([comparison], runs)
    return evidence


@pytest.mark.parametrize(
    ("high", "low", "verdict", "remark"),
    [
        ([8.9, 9.0, 9.1], [8.5, 8.6, 8.7], "holds", ""),
        ([8.5, 8.6, 8.7], [8.9, 9.0, 9.1], "does not hold", ""),
        ([8.9, 9.0, 9.1], [8.8, 8.9, 9.0], "undecided", ""),
        ([9.0, 9.0, 9.0], [8.0, 8.0, 8.0], "holds", ""),
        ([9.0, 9.0, 9.0], [9.0, 9.0, 9.0], "undecided", ""),
        # However far apart they are, fewer than three seeds a side decide nothing.
        ([90.0], [8.0], "undecided", "one seed each; 3 would decide"),
        ([90.0, 91.0], [8.0, 8.1], "undecided", "2 seeds each; 3 would decide"),
        ([90.0, 91.0, 92.0], [8.0], "undecided", "one seed of plain-20; 3 would decide"),
        (
            *([90.0, 91.0], [8.0], "undecided"),
            "2 seeds of plain-56, one seed of plain-20; 3 would decide",
        ),
        ([], [8.0], "no run yet", "no error of plain-56"),
        ([], [], "no run yet", "no error of plain-56 and plain-20"),
        ([math.nan], [8.0], "no run yet", "no error of plain-56"),
    ],
)
def test_each_verdict(
    runs: Made, high: list[float], low: list[float], verdict: str, remark: str
) -> None:
    runs.add("plain56", *high).add("plain20", *low)
    evidence = one(Above(ERROR, ("plain56", "plain20")), runs)
    assert (evidence.verdict, evidence.remark) == (verdict, remark)
    assert evidence.comparison.question == "plain-56 > plain-20"


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ([0.05, 0.06, 0.04], "holds"),
        ([0.15, 0.16, 0.14], "does not hold"),
        ([0.05, 0.09, 0.14], "undecided"),
        ([0.01], "undecided"),
    ],
)
def test_a_constant_is_exact(runs: Made, numbers: list[float], verdict: str) -> None:
    evidence = one(Above(ERROR, (0.1, "plain20")), runs.add("plain20", *numbers))
    assert evidence.verdict == verdict
    assert evidence.remark == ("one seed; 3 would decide" if len(numbers) == 1 else "")


def test_the_numbers_behind_a_verdict(runs: Made) -> None:
    runs.add("plain56", 8.8, 9.0, 9.2).add("plain20", 7.9, 8.0, 8.1)
    evidence = one(Above(ERROR, ("plain56", "plain20")), runs)
    higher, lower = evidence.samples
    assert (higher.label, lower.label, higher.n, lower.n) == ("plain-56", "plain-20", 3, 3)
    assert (higher.mean, higher.std) == (pytest.approx(9.0), pytest.approx(0.2))
    assert evidence.difference == pytest.approx(1.0)
    # By hand: error √((0.2² + 0.1²)/3) = 0.1291, t = 7.746, 2.94 degrees of freedom.
    assert evidence.finding is not None
    assert evidence.finding.interval == pytest.approx((0.584, 1.416), abs=2e-3)
    assert evidence.p == pytest.approx(0.0048, abs=2e-4)


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.0, "holds"), (0.3, "holds"), (0.45, "undecided"), (1.0, "does not hold")],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_alike_is_inside_a_margin(runs: Made, shift: float, verdict: str, sign: int) -> None:
    runs.add("plain18", *(27.9 + sign * shift + d for d in (-0.05, 0, 0.05)))
    runs.add("resnet18", 27.85, 27.9, 27.95)
    comparison = Within(ERROR, ("plain18", "resnet18"), low=-0.5, high=0.5)
    evidence = one(comparison, runs)
    assert evidence.verdict == verdict
    assert evidence.remark == "two one-sided tests"
    assert comparison.question == "−0.5 < plain-18 − ResNet-18 < 0.5"


@pytest.mark.parametrize(
    ("one_layer", "verdict"), [(9.5, "holds"), (9.1, "holds"), (8.5, "does not hold")]
)
def test_no_advantage_is_no_difference_below_the_margin(
    runs: Made, one_layer: float, verdict: str
) -> None:
    runs.add("resnet20 one-layer", *(one_layer + d for d in (-0.05, 0, 0.05)))
    runs.add("plain20", 9.25, 9.3, 9.35)
    comparison = Above(ERROR, ("resnet20 one-layer", "plain20"), by=-0.5)
    assert one(comparison, runs).verdict == verdict
    assert comparison.question == "ResNet-20 one-layer > plain-20 − 0.5"


def test_ratios_are_compared_as_such(runs: Made) -> None:
    ratio = replace(ERROR, ratio=True)
    runs.add("plain20", 2e-5, 1e-4, 1e-3).add("plain56", 20.0, 50.0, 900.0)
    runs.add("plain32", 0.0, 0.0, 0.0)
    assert one(Above(ratio, ("plain20", 0.1)), runs).verdict == "does not hold"
    assert one(Above(ERROR, ("plain20", 0.001)), runs).verdict == "undecided"
    assert one(Above(ratio, ("plain32", 0.001)), runs).verdict == "does not hold"
    within = Within(ratio, ("plain56", "plain20"), low=1e4, high=1e8)
    assert within.question == "10000 < plain-56 / plain-20 < 1e+08"
    finding = one(within, runs).finding
    assert finding is not None
    assert finding.difference == pytest.approx((20 * 50 * 900 / (2e-5 * 1e-4 * 1e-3)) ** (1 / 3))


def test_a_trend_is_judged_as_a_whole_and_a_step_can_contradict_it(runs: Made) -> None:
    comparisons = falling(ERROR, "resnet20", "resnet32", "resnet44")
    runs.add("resnet20", 8.7, 8.8, 8.9).add("resnet32", 7.4, 7.6, 7.8)
    missing = judge_all(comparisons, runs)
    assert [each.verdict for each in missing] == ["no run yet", "holds", "no run yet"]
    assert combined(missing) == "undecided"
    runs.add("resnet44", 7.2, 7.5, 7.7)
    found = judge_all(comparisons, runs)
    assert [each.verdict for each in found] == ["holds", "holds", "undecided"]
    assert found[0].comparison.question == "trend: ResNet-20 > ResNet-32 > ResNet-44"
    assert (found[0].remark, combined(found)) == ("trend test", "holds")
    del runs["resnet44"]
    runs.add("resnet44", 8.0, 8.1, 8.2)
    contrary = judge_all(comparisons, runs)
    assert [each.verdict for each in contrary] == ["undecided", "holds", "undecided"]
    del runs["resnet44"]
    runs.add("resnet44", 8.3, 8.4, 8.5)
    assert combined(judge_all(comparisons, runs)) == "does not hold"


def test_a_rising_trend_contradicts_a_falling_one(runs: Made) -> None:
    for network, error in (("resnet20", 7.0), ("resnet32", 7.1), ("resnet44", 7.2)):
        runs.add(network, *(error + d for d in (-0.04, 0, 0.04)))
    trend = Trend(ERROR, ("resnet20", "resnet32", "resnet44"))
    assert one(trend, runs).verdict == "does not hold"


def test_what_would_hold_alone_may_be_chance_among_several(runs: Made) -> None:
    runs.add("plain56", 8.9, 9.0, 9.1).add("plain20", 8.66, 8.76, 8.86)
    comparison = Above(ERROR, ("plain56", "plain20"))
    assert one(comparison, runs).verdict == "holds"
    runs.add("plain32", 8.9, 9.0, 9.1).add("plain44", 8.9, 9.0, 9.1)
    others = [Above(ERROR, ("plain56", other)) for other in ("plain32", "plain44")]
    first, *_ = judge_all([comparison, *others], runs)
    assert first.verdict == "undecided"
    assert first.p == pytest.approx(3 * (one(comparison, runs).p or 0))


def test_a_claim_holds_when_all_of_it_does(runs: Made) -> None:
    runs.add("plain56", 8.9, 9.0, 9.1).add("plain20", 7.9, 8.0, 8.1).add("plain32", 9.0)
    holds = one(Above(ERROR, ("plain56", "plain20")), runs)
    fails = one(Above(ERROR, ("plain20", "plain56")), runs)
    open_ = one(Above(ERROR, ("plain56", "plain32")), runs)
    missing = one(Above(ERROR, ("plain56", "plain44")), runs)
    assert combined([holds, holds]) == "holds"
    assert combined([holds, open_]) == "undecided"
    assert combined([holds, missing]) == "undecided"
    assert combined([missing, missing]) == "no run yet"
    assert combined([holds, open_, missing, fails]) == "does not hold"
