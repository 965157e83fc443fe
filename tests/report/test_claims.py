from pathlib import Path
from typing import Any

import pytest
from made_up_runs import PROVENANCE, SAMPLE, make_detection_run, make_run

from deepres.evaluation import signals
from deepres.models import list_models
from deepres.recipes import get_recipe
from deepres.report import signal_claims
from deepres.report.claim import Claim, Judgement, judge
from deepres.report.claims import CLAIMS
from deepres.report.grouping import comparable, network_of, what_it_is
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


def test_signals_vanish_by_the_rule_that_the_command_has() -> None:
    assert signal_claims.FACTOR == signals.FACTOR


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_without_runs_nothing_is_claimed(claim: Claim) -> None:
    (judgement,) = judge(claim, [])
    assert (judgement.papers, judgement.verdict, judgement.runs) == (True, "no run yet", [])


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
    assert judgement.runs  # what there is of a pair is shown
    training, test = judgement.evidence
    assert training.comparison.measure.name.startswith("training error")
    if deep:
        assert training.difference == pytest.approx((deep[1] - shallow[1]) / 2, abs=0.01)
        assert test.difference == pytest.approx(deep[1] - shallow[1])
        assert test.samples[0].n == 3


def test_deeper_is_better_as_far_as_there_are_runs(runs: Runs) -> None:
    runs.add("resnet20", 8.7, 8.8, 8.9)
    runs.add("resnet32", 7.4, 7.5, 7.6)
    runs.add("resnet44", 7.1)
    judgement = papers("deeper-is-better", runs)
    assert [each.verdict for each in judgement.evidence] == [
        *("no run yet", "holds", "undecided", "no run yet", "no run yet")
    ]
    assert judgement.verdict == "undecided"
    assert judgement.remark == "2 of 5 comparisons have runs; too few seeds for some"


def test_one_run_each_decides_nothing_and_is_said(runs: Runs) -> None:
    runs.add("plain56", 13.0, train_error_pct=9.0)
    runs.add("resnet56", 7.0, train_error_pct=1.0)
    judgement = papers("residual-beats-plain", runs)
    assert (judgement.verdict, judgement.remark) == ("undecided", "one seed each; 3 would decide")


@pytest.mark.parametrize(("error", "verdict"), [(0.05, "holds"), (0.4, "does not hold")])
def test_1202_trains_to_a_limit(runs: Runs, error: float, verdict: str) -> None:
    for seed in range(3):
        trained_to = error + seed / 1000
        runs.add("resnet1202", 7.9, first_seed=seed, train_error_pct=trained_to)
    training, test = papers("1202-overfits", runs).evidence
    assert training.verdict == verdict
    assert test.verdict == "no run yet"


def test_1202_and_110_train_alike(runs: Runs) -> None:
    for seed in range(3):
        for network, error in (("resnet110", 0.2), ("resnet1202", 0.05)):
            runs.add(network, 7.0, first_seed=seed, train_error_pct=error + seed / 100)
    assert papers("1202-trains-alike", runs).verdict == "holds"


def test_plain_110_must_stay_above_60_all_along(runs: Runs) -> None:
    runs.add("plain110", 70.0, 71.0, 72.0)
    assert papers("plain-110-fails", runs).verdict == "holds"
    runs.clear()
    runs.add("plain110", 20.0, 21.0, 22.0)
    assert papers("plain-110-fails", runs).verdict == "does not hold"


def test_plain_34_must_be_worse_throughout(runs: Runs) -> None:
    for seed in range(3):
        runs.add("plain18", 29.0, first_seed=seed, train_error_pct=30.0 + seed / 10)
        runs.add("plain34", 29.0, first_seed=seed, train_error_pct=33.0 + seed / 10)
    judgement = papers("imagenet-degradation-throughout", runs)
    assert [each.comparison.measure.name[21:25] for each in judgement.evidence] == [
        *("25% ", "50% ", "75% ", "100%")
    ]
    assert judgement.evidence[3].verdict == "holds"
    assert judgement.verdict == "undecided"  # early on they are alike here


def test_responses(runs: Runs) -> None:
    for seed in range(3):
        for network, std in (
            *(("plain20", 2.0), ("plain56", 2.2), ("resnet20", 1.0)),
            *(("resnet56", 0.5), ("resnet110", 0.48)),
        ):
            stds = [std * share + seed / 50 for share in (0.9, 1.0, 1.1)]
            runs.add(network, 9.0, first_seed=seed, responses={"std": stds})
    assert papers("residual-responses-are-smaller", runs).verdict == "holds"
    shrink = papers("responses-shrink-with-depth", runs)
    assert [each.verdict for each in shrink.evidence] == ["holds", "holds", "undecided"]
    assert shrink.verdict == "holds"


@pytest.mark.parametrize(
    ("weakest", "strongest", "verdict"),
    [(0.5, 2.0, "holds"), (1e-5, 2.0, "does not hold"), (0.5, 3_700.0, "does not hold")],
)
def test_signals_are_healthy_if_they_neither_vanish_nor_explode(
    runs: Runs, weakest: float, strongest: float, verdict: str
) -> None:
    for network in ("plain20", "plain56"):
        for seed in range(3):
            norms = [strongest * (1 + seed / 10), weakest * (1 + seed / 10), 1.0]
            signals = {"forward_std": [1.0, 0.8 + seed / 10], "gradient_norm": norms}
            runs.add(network, 9.0, first_seed=seed, signals=signals)
    judgement = papers("signals-do-not-vanish", runs)
    assert judgement.verdict == verdict
    assert not papers("signals-are-healthy-at-first", runs).runs


def test_shortened_runs_are_judged_for_themselves(runs: Runs) -> None:
    for seed in range(3):
        some = {"first_seed": seed, "steps": 2_000}
        runs.add("plain20", 40.0 + seed, train_error_pct=38.0 + seed, **some)
        runs.add("plain56", 60.0 + seed, train_error_pct=58.0 + seed, **some)
    first, shortened = judge(BY_ID["degradation"], runs)
    assert (first.papers, first.verdict) == (True, "no run yet")
    assert (shortened.papers, shortened.verdict) == (False, "holds")
    assert shortened.on == "shortened: 2,000 of 64,000 steps"
    for seed in range(3):
        runs.add("plain20", 12.0 + seed / 10, first_seed=seed, train_error_pct=9.0 + seed / 10)
        runs.add("plain56", 9.0 + seed / 10, first_seed=seed, train_error_pct=4.0 + seed / 10)
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
    assert not first.runs
    assert other.on == "full length, but momentum 0.8"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (2_000, "shortened: 2,000 of 64,000 steps"),
        (100_000, "lengthened: 100,000 instead of 64,000 steps"),
    ],
)
def test_what_is_longer_than_the_papers_run_is_said_to_be(
    runs: Runs, steps: int, words: str
) -> None:
    runs.add("plain20", 9.0, steps=steps)
    assert what_it_is(runs[0]) == words


@pytest.mark.parametrize(
    "claim", ["degradation", "no-degradation", "deeper-is-better", "residual-beats-plain"]
)
def test_all_seeds_of_the_papers_length_count_in_any_precision(runs: Runs, claim: str) -> None:
    networks = {"plain20": 9.0, "plain56": 13.0, "resnet20": 8.7, "resnet32": 7.5}
    networks |= {"resnet44": 7.1, "resnet56": 6.9, "resnet110": 6.5}
    for network, error in networks.items():
        for seed in range(5):
            told = {"provenance": {"precision": "fp32"}} if seed else {"deviations": BF16}
            spread = (seed - 2) / 100
            others = {"first_seed": seed, "train_error_pct": (error + spread) / 2, **told}
            runs.add(network, error + spread, **others)
    judgement = papers(claim, runs)
    sides = [side for each in judgement.evidence for side in each.samples]
    assert {side.n for side in sides} == {5}
    assert {len(side.runs) for side in sides} == {5}
    assert judgement.remark == "bf16 and fp32 together"
    assert judgement.verdict == "holds"
    assert len(judge(BY_ID[claim], runs)) == 1  # nothing stands apart


def test_a_seed_counts_once_and_unfinished_runs_not_at_all(runs: Runs) -> None:
    runs.add("resnet20", 8.7, 8.8)
    runs.add("resnet20", 8.7)  # seed 0 again
    runs.add("resnet20", 8.9, first_seed=2, stopped_at=32_000)
    runs.add("resnet32", 7.5)
    trend, *_ = papers("deeper-is-better", runs).evidence
    assert [sample.n for sample in trend.samples] == [2, 1, 0, 0, 0]
    (group,) = comparable(runs)
    assert [run.meta["seed"] for run in group["resnet20"]] == [0, 1, 2]


def test_shortcut_options_are_networks_of_their_own(runs: Runs) -> None:
    for option, error in ((None, 25.03), ("B", 24.52), ("C", 24.19)):
        deviations = {"shortcut": option} if option else None
        add_tested(runs, "resnet34", error, deviations=deviations)
    assert [network_of(run) for run in runs[::3]] == ["resnet34", "resnet34 B", "resnet34 C"]
    add_tested(runs, "plain34", 28.5)
    assert papers("options-beat-plain", runs).verdict == "holds"
    assert papers("options-differ-slightly", runs).verdict == "holds"


def add_tested(runs: Runs, model: str, top1: float, **others: Any) -> None:
    """Add three runs with errors by 10 crops, and others by one."""
    for seed in range(3):
        found = {
            **{"views": "10-crop", "images": 50_000, "data": "50,000 images of val"},
            **{"top1_error_pct": top1 + seed / 20, "top5_error_pct": 9.0},
            "provenance": PROVENANCE,
        }
        runs.add(model, 40.0 - top1 / 2, first_seed=seed, evaluations=[found], **others)


def test_claims_of_table_3_are_about_10_crops(runs: Runs) -> None:
    add_tested(runs, "plain18", 27.94)
    add_tested(runs, "resnet18", 27.88)
    judgement = papers("18-layers-are-alike", runs)
    assert judgement.verdict == "holds"
    assert judgement.evidence[0].difference == pytest.approx(0.06)
    by_views = [claim for claim in CLAIMS if "Table 3" in claim.section]
    assert {c.measure.views for claim in by_views for c in claim.comparisons} == {"10-crop"}


def test_functions_of_one_layer_are_compared_with_the_papers_runs(runs: Runs) -> None:
    for seed in range(3):
        shared = {"first_seed": seed, "train_error_pct": 1.0 + seed / 10}
        runs.add("plain20", 9.4 + seed / 10, **shared)
        runs.add("resnet20", 8.7 + seed / 10, **shared)
        one_layer = {"deviations": {"residual_layers": 1}}
        runs.add("resnet20", 9.3 + seed / 10, **shared, **one_layer)
    assert papers("one-layer-brings-nothing", runs).verdict == "holds"
    (group,) = comparable(runs)
    assert {name: len(same) for name, same in group.items()} == {
        **{"plain20": 3, "resnet20": 3, "resnet20 one-layer": 3}
    }


def test_runs_whose_bn_sees_other_numbers_of_images_are_not_pooled(runs: Runs) -> None:
    runs.add("resnet20", 8.7, 8.8, 8.9)
    runs.add("resnet32", 7.5, 7.6, 7.7, provenance={"processes": 2})
    runs.add("resnet20", 8.5, 8.6, first_seed=3, provenance={"processes": 2})
    first, second = comparable(runs)
    assert {name: len(same) for name, same in first.items()} == {"resnet32": 3, "resnet20": 2}
    assert [what_it_is(group["resnet20"][0]) for group in (first, second)] == [
        *("paper-length, BN over 64 images", "paper-length")
    ]
    for deviations, seen in (({"accumulate": 2}, 16), ({"sync_batch_norm": True}, 128)):
        runs.add("plain20", 9.0, deviations=deviations, provenance={"processes": 4})
        assert runs[-1].bn_images == (seen,)


def test_a_run_that_went_on_by_more_processes_is_pooled_with_none_of_one(runs: Runs) -> None:
    runs.add("resnet20", 8.7, 8.8, 8.9)
    runs.add("resnet20", 8.5, first_seed=3)
    runs[-1].meta["resumed"] = [PROVENANCE | {"step": 20_000, "processes": 8}]
    assert [each["bn_images"] for each in runs[-1].provenances] == [128, 16]
    first, second = comparable(runs)
    assert [len(group["resnet20"]) for group in (first, second)] == [3, 1]
    assert what_it_is(second["resnet20"][0]) == "paper-length, BN over 128, then 16 images"


def test_many_runs_that_cannot_judge_a_claim_hide_none_that_can(runs: Runs) -> None:
    runs.add("resnet20", 8.6, 8.7, 8.8, 8.9)
    runs.add("plain20", 9.0, 9.1, 9.2)
    two = {"provenance": {"processes": 2}}
    for seed in range(3):
        for model, error in (("plain20", 9.0 + seed / 10), ("plain56", 13.0 + seed / 10)):
            runs.add(model, error, first_seed=seed, train_error_pct=error / 2, **two)
    first, second = judge(BY_ID["degradation"], runs)
    assert (first.verdict, first.on) == ("holds", "paper-length, BN over 64 images")
    assert (second.papers, second.verdict) == (True, "no run yet")


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
    assert judgement.evidence[0].remark == "one seed each; 3 would decide"


def test_cocos_gain_is_judged_in_points_and_as_a_share(tmp_path: Path) -> None:
    coco = detectors(tmp_path / "a", "coco", ("resnet101", 48.4, 27.2), ("vgg16", 41.5, 21.2))
    points, share = papers("coco-gain", coco).evidence
    assert (points.verdict, share.verdict) == ("holds", "holds")
    assert points.difference == pytest.approx(6.0)
    assert share.difference == pytest.approx(27.3 / 21.3, abs=1e-3)
    small = detectors(tmp_path / "b", "coco", ("resnet101", 48.4, 23.0), ("vgg16", 41.5, 21.2))
    assert papers("coco-gain", small).verdict == "does not hold"


def test_only_tests_on_all_images_and_without_improvements_count(tmp_path: Path) -> None:
    for name, test in (("a", {"images": 10}), ("b", {"improvements": ["box refinement"]})):
        runs = [make_detection_run(tmp_path / name, tests=(test,))]
        judgement = papers("depth-transfers-to-voc07", runs)
        assert not judgement.runs


def test_a_detector_decides_nothing_about_classification(runs: Runs, tmp_path: Path) -> None:
    runs += detectors(tmp_path, "voc07+12", ("resnet50", 70.0, 0), ("resnet101", 76.4, 0))
    assert not papers("bottlenecks-go-deeper", runs).runs


def test_what_a_claim_compares_can_be_compared() -> None:
    """Networks of several data sets are not, so that a claim on such could never hold."""
    for claim in CLAIMS:
        kinds = {
            recipe.kind
            for network in claim.networks
            if "detector" not in network and (recipe := get_recipe(network.split()[0]))
        }
        assert len(kinds) <= 1, claim.id
