"""What the rule says of simulated runs: with the paper's own numbers, and of equals.

Each network's runs are normal around its published number. On CIFAR-10 their standard deviation is
the one that the paper gives, 0.16; for ImageNet and detection it gives none: 0.1 and 0.2 are
assumed.
"""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from deepres.report.claim import Claim
from deepres.report.claims import CLAIMS
from deepres.report.judging import combined, judge_all
from deepres.report.measures import MAP, MAP_50, MAP_RATIO, TEST, TOP1_10_CROP, TOP5_MULTI_SCALE
from deepres.report.summary import published_number

BY_ID = {claim.id: claim for claim in CLAIMS}
SPREAD = {TEST: 0.16, TOP1_10_CROP: 0.1, TOP5_MULTI_SCALE: 0.1}
SPREAD |= {MAP: 0.2, MAP_50: 0.2, MAP_RATIO: 0.2}


def verdicts(
    claim: Claim, seeds: int, times: int, centre: float | None = None
) -> tuple[float, float]:
    """How often a claim holds, and how often it does not.

    Args:
        claim: of measures whose spread is known.
        seeds: how many runs each network has.
        times: how many sets of runs are simulated.
        centre: of all networks; None: of each its published number.
    """
    random = np.random.default_rng(0)
    comparisons = []
    for each in claim.comparisons:
        of = lambda run, name=each.measure.name: run.numbers[name]  # noqa: E731
        comparisons.append(replace(each, measure=replace(each.measure, of=of, views=None)))
    found = [
        combined(judge_all(comparisons, _runs(claim, seeds, centre, random))) for _ in range(times)
    ]
    return found.count("holds") / times, found.count("does not hold") / times


def _runs(
    claim: Claim, seeds: int, centre: float | None, random: np.random.Generator
) -> dict[str, Sequence[SimpleNamespace]]:
    runs: dict[str, list[SimpleNamespace]] = {}
    for network in claim.networks:
        drawn = random.normal(0, 1, seeds)
        for z in drawn:
            numbers = {}
            for measure, spread in SPREAD.items():
                middle = published_number(measure, network) if centre is None else centre
                if middle is not None:
                    numbers[measure.name] = middle + spread * z
            runs.setdefault(network, []).append(SimpleNamespace(numbers=numbers))
    return runs


@pytest.mark.parametrize(
    ("claim", "power_of_3", "power_of_5"),
    [
        ("deeper-is-better", 0.98, 0.99),
        ("110-is-best", 0.30, 0.80),  # 56 layers are near: 0.36 and 0.86 of 600
        ("identity-beats-gates", 0.99, 0.99),
        ("identity-beats-gates-with-fewer-parameters", 0.99, 0.99),
        ("18-layers-are-alike", 0.85, 0.99),
        ("options-beat-plain", 0.99, 0.99),
        ("options-differ-slightly", 0.60, 0.97),
        ("bottlenecks-go-deeper", 0.99, 0.99),
        ("152-beats-ensembles", 0.75, 0.99),
        ("depth-transfers-to-voc07", 0.99, 0.99),
        ("depth-transfers-to-voc12", 0.99, 0.99),
        ("depth-transfers-to-coco", 0.99, 0.99),
        ("coco-gain", 0.70, 0.99),
    ],
)
def test_the_papers_numbers_get_the_papers_verdicts(
    claim: str, power_of_3: float, power_of_5: float
) -> None:
    for seeds, power in ((3, power_of_3), (5, power_of_5)):
        holds, fails = verdicts(BY_ID[claim], seeds, times=200)
        assert holds >= power
        assert fails <= 0.01


@pytest.mark.parametrize(
    ("claim", "seeds", "times", "least", "most"),
    [
        ("identity-beats-gates", 5, 3_000, 0.04, 0.06),
        ("identity-beats-gates", 3, 3_000, 0.03, 0.06),
        # Of several comparisons all must hold, or one must contradict: that is rarer.
        ("110-is-best", 5, 1_000, 0.0, 0.06),
        ("deeper-is-better", 5, 1_000, 0.0, 0.06),
    ],
)
def test_of_equals_few_get_a_verdict(
    claim: str, seeds: int, times: int, least: float, most: float
) -> None:
    holds, fails = verdicts(BY_ID[claim], seeds, times, centre=7.0)
    assert least < holds + fails < most
