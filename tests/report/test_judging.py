import math
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_runs import make_run

from deepres.report.judging import Above, Evidence, Measure, Value, combined
from deepres.report.runs import Run

Judge = Callable[[object, object], Evidence]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Judge that plain-56's number is above plain-20's (or 1), from (value, uncertainty) pairs."""

    def judged(high: object, low: object) -> Evidence:
        of: dict[str, Value] = {}
        runs: dict[str, list[Run]] = {}
        for network, values in (("plain56", high), ("plain20", low)):
            for seed, pair in enumerate(values if isinstance(values, list) else []):
                run = make_run(tmp_path / f"{network}-{seed}", network, seed)
                of[run.name] = Value(*pair)
                runs.setdefault(network, []).append(run)
        measure = Measure("error", lambda run: of[run.name])
        lower = "plain20" if isinstance(low, list) else low
        return Above(measure, "plain56", lower).judge(runs)

    return judged


@pytest.mark.parametrize(
    ("high", "low", "verdict", "remark"),
    [
        # One run each: the margin is 2·√(0.3² + 0.4²) = 1.
        ([(9.1, 0.3)], [(8.0, 0.4)], "holds", "one run each"),
        ([(8.9, 0.3)], [(8.0, 0.4)], "undecided", "one run each"),
        ([(8.0, 0.3)], [(9.1, 0.4)], "does not hold", "one run each"),
        ([(9.0, None)], [(1.0, 0.1)], "undecided", "one run each; too few to know the"),
        # Three and more: std 0.1 each, a margin of 2·√(2·0.1²/3) = 0.163.
        ([(v, 9.0) for v in (8.9, 9.0, 9.1)], [(v, 9.0) for v in (8.7, 8.8, 8.9)], "holds", ""),
        ([(v, 0.0) for v in (8.9, 9.0, 9.1)], [(v, 0.0) for v in (8.8, 8.9, 9.0)], "undecided", ""),
        # Two that agree by chance are not believed beyond what one run is.
        ([(9.0, 0.3)] * 2, [(8.5, 0.4)] * 2, "undecided", ""),
        ([(9.6, 0.3)] * 2, [(8.5, 0.4)] * 2, "holds", ""),
        ([(9.0, None)] * 2, [(8.5, 0.4)] * 2, "undecided", "too few to know the uncertainty"),
        # Many against one.
        ([(9.0, 0.3)] * 5, [(8.5, 0.4)], "undecided", "one run of plain-20"),
        # Against a constant, which is exact.
        ([(1.7, 0.3)], 1.0, "holds", "one run"),
        ([(1.5, 0.3)], 1.0, "undecided", "one run"),
        ([(0.3, 0.3)], 1.0, "does not hold", "one run"),
        ([(1.1, 0.3), (1.2, 0.3), (1.3, 0.3)], 1.0, "holds", ""),
        ([(8.0, 0.1)], [(8.0, 0.1)], "undecided", "one run each"),
        ([(8.0, 0.0)], [(8.0, 0.0)], "undecided", "one run each"),
        ([], [(8.0, 0.1)], "no run yet", "no error of plain-56"),
        ([], [], "no run yet", "no error of plain-56 and plain-20"),
        ([(math.nan, 0.1)], [(8.0, 0.1)], "no run yet", "no error of plain-56"),
    ],
)
def test_each_verdict(judge: Judge, high: object, low: object, verdict: str, remark: str) -> None:
    evidence = judge(high, low)
    assert evidence.verdict == verdict
    assert evidence.remark.startswith(remark)
    assert bool(evidence.remark) == bool(remark)


def test_the_numbers_behind_a_verdict(judge: Judge) -> None:
    evidence = judge([(v, None) for v in (8.8, 9.0, 9.2)], [(v, None) for v in (7.9, 8.0, 8.1)])
    assert (evidence.higher.label, evidence.lower.label) == ("plain-56", "plain-20")
    assert (evidence.higher.n, evidence.lower.n) == (3, 3)
    assert evidence.higher.mean == pytest.approx(9.0)
    assert evidence.higher.std == pytest.approx(0.2)
    assert evidence.difference == pytest.approx(1.0)
    assert evidence.margin == pytest.approx(2 * math.sqrt((0.2**2 + 0.1**2) / 3))


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["holds", "no run yet"], "undecided"),
        (["no run yet", "no run yet"], "no run yet"),
        (["holds", "undecided", "no run yet", "does not hold"], "does not hold"),
    ],
)
def test_a_claim_holds_when_all_of_it_does(verdicts: list, verdict: str) -> None:
    assert combined(verdicts) == verdict
