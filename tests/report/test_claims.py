from pathlib import Path
from typing import Any

import pytest
from made_up_runs import SAMPLE, make_detection_run, make_run

from deepres.models import list_models
from deepres.report.claims import CLAIMS, Claim, Judgement, comparable, judge, network_of
from deepres.report.runs import Run

BF16 = {"precision": "bf16"}
BY_ID = {claim.id: claim for claim in CLAIMS}


@pytest.fixture
def runs(tmp_path: Path) -> "Runs":
    return Runs(tmp_path)


class Runs(list[Run]):
    """Runs with made-up numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, model: str, *test_errors: float, first_seed: int = 0, **others: Any) -> None:
        """Add a run for each of the test errors."""
        for seed, error in enumerate(test_errors, start=first_seed):
            folder = self.folder / str(len(self))
            self.append(make_run(folder, model, seed, test_error_pct=error, **others))


def papers(claim: str, runs: list[Run]) -> Judgement:
    first, *_ = judge(BY_ID[claim], runs)
    assert first.papers
    return first


def test_claims_are_told_apart_and_their_networks_exist() -> None:
    assert len(BY_ID) == len(CLAIMS)
    assert len({claim.sentence for claim in CLAIMS}) == len(CLAIMS)
    assert {name.split()[0] for claim in CLAIMS for name in claim.networks} <= {*list_models()}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_without_runs_nothing_is_claimed(claim: Claim) -> None:
    (judgement,) = judge(claim, [])
    assert (judgement.papers, judgement.verdict, judgement.is_empty) == (True, "no run yet", True)


@pytest.mark.parametrize(
    ("shallow", "deep", "verdict"),
    [
        ([8.7, 8.8, 8.9], [12.0, 12.5, 13.0], "holds"),
        ([8.7, 8.8, 8.9], [8.8, 8.9, 9.0], "undecided"),
        ([12.0, 12.5, 13.0], [8.7, 8.8, 8.9], "does not hold"),
        ([8.7], [], "no run yet"),
    ],
)
def test_degradation(runs: Runs, shallow: list[float], deep: list[float], verdict: str) -> None:
    for model, errors in (("plain20", shallow), ("plain56", deep)):
        for seed, error in enumerate(errors):
            runs.add(model, error, first_seed=seed, train_error_pct=error / 2)
    judgement = papers("degradation", runs)
    assert judgement.verdict == verdict
    assert not judgement.is_empty  # what there is of a pair is shown
    training, test = judgement.evidence
    assert training.comparison.measure.name.startswith("training error")
    if deep:
        assert training.difference == pytest.approx((deep[1] - shallow[1]) / 2)
        assert test.difference == pytest.approx(deep[1] - shallow[1])
        assert test.higher.n == 3


def test_deeper_is_better_as_far_as_there_are_runs(runs: Runs) -> None:
    runs.add("resnet20", 8.7, 8.8, 8.9)
    runs.add("resnet32", 7.4, 7.5, 7.6)
    runs.add("resnet44", 7.1)
    judgement = papers("deeper-is-better", runs)
    assert [each.verdict for each in judgement.evidence] == [
        *("holds", "undecided", "no run yet", "no run yet")
    ]
    assert judgement.verdict == "undecided"
    assert judgement.remark == "2 of 4 comparisons have runs; some on one run"
    runs.add("resnet56", 9.0)
    assert papers("deeper-is-better", runs).verdict == "does not hold"


def test_one_run_each_is_said(runs: Runs) -> None:
    runs.add("plain56", 13.0, train_error_pct=9.0)
    runs.add("resnet56", 7.0, train_error_pct=1.0)
    judgement = papers("residual-beats-plain", runs)
    assert (judgement.verdict, judgement.remark) == ("holds", "one run each")


@pytest.mark.parametrize(("error", "verdict"), [(0.05, "holds"), (0.4, "does not hold")])
def test_1202_trains_to_a_limit(runs: Runs, error: float, verdict: str) -> None:
    runs.add("resnet1202", 7.9, 8.0, 8.1)
    for seed in range(3):
        folder = runs.folder / f"flat-{seed}"
        runs.append(make_run(folder, "resnet1202", 9 + seed, train_error_pct=error))
    runs[:] = runs[3:]
    training, test = papers("1202-overfits", runs).evidence
    assert training.verdict == verdict
    assert test.verdict == "no run yet"


def test_responses_and_signals(runs: Runs) -> None:
    def side_files(std: float, weakest: float) -> dict[str, Any]:
        responses = {"std": [std * 0.9, std, std * 1.1]}
        signals = {"forward_std": [1.0, 0.8], "gradient_norm": [weakest, 1.0]}
        return {"responses": responses, "signals": signals}

    runs.add("plain20", 9.0, **side_files(2.0, 0.5))
    runs.add("plain56", 9.0, **side_files(2.2, 0.5))
    runs.add("resnet20", 9.0, **side_files(1.0, 0.5))
    runs.add("resnet56", 9.0, **side_files(0.5, 0.5))
    runs.add("resnet110", 9.0, **side_files(0.48, 0.5))
    assert papers("residual-responses-are-smaller", runs).verdict == "holds"
    shrink = papers("responses-shrink-with-depth", runs)
    assert [each.verdict for each in shrink.evidence] == ["holds", "undecided"]
    assert papers("signals-do-not-vanish", runs).verdict == "holds"
    runs[1] = make_run(runs.folder / "vanishing", "plain56", **side_files(2.2, 1e-5))
    assert papers("signals-do-not-vanish", runs).verdict == "does not hold"


def test_shortened_runs_are_judged_for_themselves(runs: Runs) -> None:
    runs.add("plain20", 40.0, train_error_pct=38.0, steps=2_000)
    runs.add("plain56", 60.0, train_error_pct=58.0, steps=2_000)
    first, shortened = judge(BY_ID["degradation"], runs)
    assert (first.papers, first.verdict) == (True, "no run yet")
    assert (shortened.papers, shortened.verdict) == (False, "holds")
    assert shortened.on == "shortened: 2,000 of 64,000 steps"
    runs.add("plain20", 12.0, train_error_pct=9.0)
    runs.add("plain56", 9.0, train_error_pct=4.0)
    first, shortened = judge(BY_ID["degradation"], runs)
    assert (first.verdict, shortened.verdict) == ("does not hold", "holds")


@pytest.mark.parametrize(
    "otherwise",
    [
        {"steps": 4_000},
        {"steps": 2_000, "source": SAMPLE},
        {"steps": 2_000, "fingerprint": "another"},
        {"steps": 2_000, "deviations": {"lr": 0.05}},
        {},
    ],
    ids=str,
)
def test_unlike_runs_are_never_compared(runs: Runs, otherwise: dict[str, Any]) -> None:
    runs.add("plain20", 40.0, 40.1, 40.2, train_error_pct=38.0, steps=2_000)
    runs.add("plain56", 60.0, 60.1, 60.2, train_error_pct=58.0, **otherwise)
    judgements = judge(BY_ID["degradation"], runs)
    assert {judgement.verdict for judgement in judgements} == {"no run yet"}


def test_a_deviation_at_full_length_is_not_the_papers(runs: Runs) -> None:
    runs.add("plain20", 9.0, deviations={"momentum": 0.8})
    runs.add("plain56", 12.0, deviations={"momentum": 0.8})
    first, other = judge(BY_ID["degradation"], runs)
    assert first.is_empty
    assert other.on == "full length, but momentum 0.8"


@pytest.mark.parametrize(
    "claim", ["degradation", "no-degradation", "deeper-is-better", "residual-beats-plain"]
)
def test_all_seeds_of_the_papers_length_count_in_any_precision(runs: Runs, claim: str) -> None:
    networks = {"plain20": 9.0, "plain56": 13.0, "resnet20": 8.7, "resnet32": 7.5}
    networks |= {"resnet44": 7.1, "resnet56": 6.9, "resnet110": 6.5}
    for network, error in networks.items():
        for seed in range(5):
            told = {"provenance": {"precision": "bf16"}} if seed else {"deviations": BF16}
            spread = (seed - 2) / 100
            others = {"first_seed": seed, "train_error_pct": (error + spread) / 2, **told}
            runs.add(network, error + spread, **others)
    judgement = papers(claim, runs)
    sides = [side for each in judgement.evidence for side in (each.higher, each.lower)]
    assert {side.n for side in sides} == {5}
    assert {len(side.runs) for side in sides} == {5}
    assert judgement.remark == ""
    assert judgement.verdict == "holds"
    assert len(judge(BY_ID[claim], runs)) == 1  # nothing stands apart


def test_a_seed_counts_once_and_unfinished_runs_not_at_all(runs: Runs) -> None:
    runs.add("resnet20", 8.7, 8.8)
    runs.add("resnet20", 8.7)  # seed 0 again
    runs.add("resnet20", 8.9, first_seed=2, stopped_at=32_000)
    runs.add("resnet32", 7.5)
    first, *_ = papers("deeper-is-better", runs).evidence
    assert (first.higher.n, first.lower.n) == (2, 1)
    (group,) = comparable(runs)
    assert [run.meta["seed"] for run in group["resnet20"]] == [0, 1, 2]


def test_shortcut_options_are_networks_of_their_own(runs: Runs) -> None:
    for option, error in ((None, 25.0), ("B", 24.5), ("C", 24.2)):
        runs.add("resnet34", error, deviations={"shortcut": option} if option else None)
    runs.add("plain34", 28.5)
    assert [network_of(run) for run in runs[:3]] == ["resnet34", "resnet34 B", "resnet34 C"]
    assert papers("options-beat-plain", runs).verdict == "holds"


def detectors(folder: Path, dataset: str, *precisions: tuple[str, float, float]) -> list[Run]:
    return [
        make_detection_run(
            folder / f"{dataset}-{model}-{seed}",
            *(model, dataset, seed),
            map_50_pct=map_50 + seed / 10,
            map_pct=map_all + seed / 10,
        )
        for model, map_50, map_all in precisions
        for seed in range(3)
    ]


def test_depth_transfers_to_detection(tmp_path: Path) -> None:
    coco = detectors(tmp_path, "coco", ("resnet101", 48.4, 27.2), ("vgg16", 41.5, 28.0))
    voc = detectors(tmp_path, "voc07+12", ("resnet101", 76.4, 0), ("vgg16", 73.2, 0))
    assert papers("depth-transfers-to-voc07", voc + coco).verdict == "holds"
    assert papers("depth-transfers-to-voc12", voc + coco).verdict == "no run yet"
    judgement = papers("depth-transfers-to-coco", voc + coco)
    assert [each.verdict for each in judgement.evidence] == ["holds", "does not hold"]
    assert judgement.verdict == "does not hold"


def test_single_detectors_decide_nothing(tmp_path: Path) -> None:
    voc = detectors(tmp_path, "voc07+12", ("resnet101", 76.4, 0), ("vgg16", 73.2, 0))
    judgement = papers("depth-transfers-to-voc07", [voc[0], voc[3]])
    assert judgement.verdict == "undecided"
    assert "too few to know the uncertainty" in judgement.evidence[0].remark


def test_only_tests_on_all_images_and_without_improvements_count(tmp_path: Path) -> None:
    for name, test in (("a", {"images": 10}), ("b", {"improvements": ["box refinement"]})):
        runs = [make_detection_run(tmp_path / name, tests=(test,))]
        judgement = papers("depth-transfers-to-voc07", runs)
        assert judgement.is_empty


def test_a_detector_decides_nothing_about_classification(runs: Runs, tmp_path: Path) -> None:
    runs += detectors(tmp_path, "voc07+12", ("resnet50", 70.0, 0), ("resnet101", 76.4, 0))
    assert papers("bottlenecks-go-deeper", runs).is_empty
