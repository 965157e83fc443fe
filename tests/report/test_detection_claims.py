"""Two single detectors are compared by draws of the images that both were tested on."""

from pathlib import Path

import numpy as np
import pytest
from made_up_runs import make_detection_run

from deepres.report.claim import Judgement, judge
from deepres.report.claims import CLAIMS
from deepres.report.runs import Run

BY_ID = {claim.id: claim for claim in CLAIMS}
NOISE = np.random.default_rng(0).normal(0, 1, (2, 200))


def detector(
    folder: Path, model: str, numbers: dict[str, float], own: int, images: str = "f00"
) -> Run:
    """A run whose precisions lie, over draws, 0.7 around the numbers; half of it is in common."""
    spread = 0.5 * (NOISE[0] + NOISE[own]) if own else NOISE[0] / np.sqrt(2)
    drawn = {key: (number + spread).tolist() for key, number in numbers.items()}
    tests = ({"resampled": {"images": images, **drawn}},)
    dataset = "coco" if "map_pct" in numbers else "voc07+12"
    return make_detection_run(folder / model, model, dataset, **numbers, tests=tests)


def judged(claim: str, *runs: Run) -> Judgement:
    return judge(BY_ID[claim], runs)[0]


@pytest.mark.parametrize(
    ("resnet", "vgg", "verdict"),
    [(76.4, 73.2, "holds"), (73.2, 76.4, "does not hold"), (75.0, 74.9, "undecided")],
)
def test_better_on_the_same_images(tmp_path: Path, resnet: float, vgg: float, verdict: str) -> None:
    runs = [
        detector(tmp_path, "resnet101", {"map_50_pct": resnet}, 0),
        detector(tmp_path, "vgg16", {"map_50_pct": vgg}, 1),
    ]
    found = judged("depth-transfers-to-voc07", *runs)
    (evidence,) = found.evidence
    assert found.verdict == verdict
    assert evidence.remark == "one seed each, compared on 4,952 images (bootstrap)"
    assert evidence.finding is not None
    assert evidence.finding.interval is not None
    low, high = evidence.finding.interval
    assert evidence.difference == pytest.approx(resnet - vgg)
    error = np.std(NOISE[0] / np.sqrt(2) - NOISE.sum(0) / 2, ddof=1)
    assert (high - low) / 2 == pytest.approx(1.972 * error, rel=1e-3)


def test_a_further_detector_takes_no_verdict_away(tmp_path: Path) -> None:
    runs = [
        detector(tmp_path, "resnet101", {"map_50_pct": 76.4}, 0),
        detector(tmp_path, "vgg16", {"map_50_pct": 73.2}, 1),
        make_detection_run(tmp_path / "more", "vgg16", seed=1, map_50_pct=60.0),
    ]
    (evidence,) = judged("depth-transfers-to-voc07", *runs).evidence
    assert evidence.verdict == "holds"
    assert evidence.difference == pytest.approx(3.2)
    assert "seed 0 of each compared on 4,952 images (bootstrap)" in evidence.remark


def test_other_images_decide_nothing(tmp_path: Path) -> None:
    runs = [
        detector(tmp_path, "resnet101", {"map_50_pct": 76.4}, 0),
        detector(tmp_path, "vgg16", {"map_50_pct": 73.2}, 1, images="f01"),
    ]
    assert judged("depth-transfers-to-voc07", *runs).verdict == "undecided"


@pytest.mark.parametrize(
    ("gained", "verdicts"),
    [(6.0, ["holds", "holds"]), (12.0, ["does not hold", "does not hold"])],
)
def test_a_gain_within_a_margin(tmp_path: Path, gained: float, verdicts: list[str]) -> None:
    numbers = {"map_50_pct": 48.4, "map_pct": 21.2 + gained}
    runs = [
        detector(tmp_path, "resnet101", numbers, 0),
        detector(tmp_path, "vgg16", {"map_50_pct": 41.5, "map_pct": 21.2}, 0),
    ]
    found = judged("coco-gain", *runs)
    assert [each.verdict for each in found.evidence] == verdicts
    ratio = found.evidence[1].difference
    assert ratio == pytest.approx((21.2 + gained) / 21.2)


def test_a_gain_that_further_detectors_contradict_is_undecided(tmp_path: Path) -> None:
    runs = [
        detector(tmp_path, "resnet101", {"map_50_pct": 48.4, "map_pct": 27.2}, 0),
        detector(tmp_path, "vgg16", {"map_50_pct": 41.5, "map_pct": 21.2}, 0),
        make_detection_run(tmp_path / "more", "resnet101", "coco", seed=1, map_pct=36.0),
    ]
    gain = judged("coco-gain", *runs).evidence[0]
    assert gain.difference == pytest.approx(10.4)
    assert (gain.verdict, gain.p) == ("undecided", None)
