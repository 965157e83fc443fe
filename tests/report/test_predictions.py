import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_runs import SAMPLE, make_run
from runs import train

from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10
from deepres.evaluation.score_files import save_scores
from deepres.evaluation.scores import Scores
from deepres.recipes import get_recipe
from deepres.report.claim import judge
from deepres.report.claims import CLAIMS
from deepres.report.measures import error_by
from deepres.report.predictions import PairedErrors, answers, paired_errors_of
from deepres.report.ranks import Ranks, kept_ranks, ranks_of, save_ranks
from deepres.report.read_runs import read_run
from deepres.report.runs import Run

BY_ID = {claim.id: claim for claim in CLAIMS}


def keep_answers(run: Run, wrong: np.ndarray, images: str = "f00", **key: Any) -> Run:
    """Keep scores as ``deepres evaluate`` does, of ten classes, wrong where ``wrong`` is."""
    weights = run.path / "model.safetensors"
    weights.write_bytes(run.path.name.encode())
    labels = np.arange(len(wrong)) % 10
    scores = np.full((len(wrong), 10), 0.05, dtype=np.float32)
    scores[np.arange(len(wrong)), (labels + wrong) % 10] = 0.55
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    usual = {"weights": digest, "views": "1-crop", "precision": "fp32", "images": images}
    key = usual | key
    names = tuple(f"{i:05}" for i in range(len(wrong)))
    kept = Scores(names, torch.from_numpy(labels), torch.from_numpy(scores))
    save_scores(run.path / f"scores/model-1-crop-{images}.npz", kept, key=json.dumps(key))
    return run


def first(count: int, of: int = 10_000, skip: int = 0) -> np.ndarray:
    """True in ``count`` places, from ``skip`` on."""
    places = np.arange(of)
    return (places >= skip) & (places < skip + count)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Run, Run]:
    plain = make_run(tmp_path / "plain56", "plain56", test_error_pct=9.0)
    residual = make_run(tmp_path / "resnet56", "resnet56", test_error_pct=7.0)
    return keep_answers(plain, first(900)), keep_answers(residual, first(700, skip=400))


def test_images_that_only_one_mistakes_are_counted(pair: tuple[Run, Run]) -> None:
    assert paired_errors_of(*pair, "1-crop") == PairedErrors(10_000, 400, 200)
    assert paired_errors_of(*pair, "1-crop", top=2) == PairedErrors(10_000, 0, 0)
    assert paired_errors_of(*pair, "10-crop") is None


@pytest.mark.parametrize(
    "key", [{"weights": "of another training"}, {"precision": "bf16"}, {"views": "10-crop"}]
)
def test_other_answers_do_not_count(pair: tuple[Run, Run], key: dict[str, str]) -> None:
    keep_answers(pair[0], first(900), **key)
    assert paired_errors_of(*pair, "1-crop") is None


def test_nor_do_damaged_ones_nor_those_on_some_images(pair: tuple[Run, Run]) -> None:
    file = pair[0].path / "scores/model-1-crop-f00.npz"
    file.write_bytes(file.read_bytes()[:1_000])
    assert paired_errors_of(*pair, "1-crop") is None
    for run in pair:
        keep_answers(run, first(90, of=1_000))
    assert paired_errors_of(*pair, "1-crop") is None


def test_on_other_data_the_largest_set_in_common_counts(tmp_path: Path) -> None:
    pair = [make_run(tmp_path / name, name, source=SAMPLE) for name in ("plain56", "resnet56")]
    for run, wrong in zip(pair, (30, 20), strict=True):
        keep_answers(run, first(wrong, of=1_000))
        keep_answers(run, first(wrong, of=100), images="f01")
    assert paired_errors_of(*pair, "1-crop") == PairedErrors(1_000, 10, 0)


def test_ranks_are_enough(pair: tuple[Run, Run]) -> None:
    for run in pair:
        (ranks,) = answers(run.path, "1-crop")
        save_ranks(run.path, "1-crop", ranks)
        shutil.rmtree(run.path / "scores")
    (file,) = (pair[0].path / "ranks").iterdir()
    (file.parent / "1-crop-0.npz").write_bytes(b"damaged")  # is passed over
    assert paired_errors_of(*pair, "1-crop") == PairedErrors(10_000, 400, 200)
    assert paired_errors_of(*pair, "1-crop", top=2) == PairedErrors(10_000, 0, 0)
    assert file.stat().st_size < 10_000
    file.write_bytes(file.read_bytes()[:100])
    assert paired_errors_of(*pair, "1-crop") is None


@pytest.mark.parametrize("noted", [True, False])
def test_clean_images_are_not_compared_with_corrupted_ones(tmp_path: Path, noted: bool) -> None:
    pair = []
    for name in ("plain56", "resnet56"):
        pair.append(make_run(tmp_path / name, name, test_fingerprint="clean" if noted else None))
    keep_answers(pair[0], first(900), images="clean")
    keep_answers(pair[1], first(5_000), images="blurred")  # of the same names and classes
    assert paired_errors_of(*pair, "1-crop") is None
    keep_answers(pair[1], first(700), images="clean")
    assert paired_errors_of(*pair, "1-crop") == PairedErrors(10_000, 200, 0)
    for run in pair:
        for ranks in answers(run.path, "1-crop"):
            save_ranks(run.path, "1-crop", ranks)
        shutil.rmtree(run.path / "scores")
    assert paired_errors_of(*pair, "1-crop") == PairedErrors(10_000, 200, 0)


def test_images_are_the_same_if_names_and_classes_are() -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]], dtype=np.float32)
    asked = ranks_of(["a", "b", "c"], np.array([0, 0, -1]), scores)
    assert asked is not None
    assert asked.ranks.tolist() == [1, 0]
    for names, labels in ((["a", "x", "c"], [0, 0, -1]), (["a", "b", "c"], [0, 1, -1])):
        other = ranks_of(names, np.array(labels), scores)
        assert other is not None
        assert other.images != asked.images
    assert ranks_of(["a", "b", "c"], np.array([-1, -1, -1]), scores) is None


@pytest.mark.parametrize("fingerprint", ["f00", None])
def test_ranks_come_back_as_they_were_kept(tmp_path: Path, fingerprint: str | None) -> None:
    save_ranks(tmp_path, "1-crop", Ranks("a", np.array([3, 0], dtype=np.uint16), fingerprint))
    (kept,) = kept_ranks(tmp_path, "1-crop")
    assert (kept.images, kept.ranks.tolist(), kept.fingerprint) == ("a", [3, 0], fingerprint)


def test_single_runs_are_judged_by_their_answers_and_it_is_said(pair: tuple[Run, Run]) -> None:
    judgement, *_ = judge(BY_ID["residual-beats-plain"], pair)
    training, test = judgement.evidence
    assert (training.verdict, test.verdict) == ("undecided", "holds")
    assert test.difference == 2.0
    assert test.remark == "one seed each, compared on 10,000 images (McNemar)"
    assert judgement.remark == "too few seeds for some"


@pytest.mark.parametrize(
    ("more", "remark"),
    [
        ([("plain56", 1)], "2 seeds of plain-56, one seed of ResNet-56, seed 0 of each"),
        ([("plain56", 1), ("resnet56", 1)], "2 seeds each, seed 0 of each"),
        ([("plain56", 1), ("plain56", 2)], "one seed of ResNet-56, seed 0 of each"),
    ],
)
def test_a_further_seed_takes_no_verdict_away(
    tmp_path: Path, pair: tuple[Run, Run], more: list[tuple[str, int]], remark: str
) -> None:
    others = [make_run(tmp_path / f"{name}-{seed}", name, seed) for name, seed in more]
    _, test = judge(BY_ID["residual-beats-plain"], [*others, *pair])[0].evidence
    assert (test.verdict, test.difference) == ("holds", 2.0)
    assert test.remark == f"{remark} compared on 10,000 images (McNemar)"


def test_a_pair_that_all_seeds_speak_against_decides_nothing(
    tmp_path: Path, pair: tuple[Run, Run]
) -> None:
    better = make_run(tmp_path / "1", "plain56", 1, test_error_pct=1.0)
    _, test = judge(BY_ID["residual-beats-plain"], [*pair, better])[0].evidence
    assert (test.verdict, test.p) == ("undecided", None)


def test_the_difference_is_of_the_errors_that_stand_beside_it(
    tmp_path: Path, pair: tuple[Run, Run]
) -> None:
    kept = make_run(tmp_path / "a", "resnet56", test_error_pct=6.99)  # its answers are rounded
    keep_answers(kept, first(700, skip=400))
    _, test = judge(BY_ID["residual-beats-plain"], [pair[0], kept])[0].evidence
    assert test.verdict == "holds"
    assert test.difference == pytest.approx(9.0 - 6.99)


def test_without_a_seed_in_common_the_lowest_are_compared(
    tmp_path: Path, pair: tuple[Run, Run]
) -> None:
    lowest, second = (
        make_run(tmp_path / f"{seed}", "resnet56", seed, test_error_pct=7.0) for seed in (1, 2)
    )
    keep_answers(lowest, first(700, skip=400))
    _, test = judge(BY_ID["residual-beats-plain"], [pair[0], second, lowest])[0].evidence
    assert (test.verdict, test.difference) == ("holds", 2.0)
    assert test.remark == (
        "one seed of plain-56, 2 seeds of ResNet-56, seeds 0 and 1 compared on 10,000 images "
        "(McNemar)"
    )


def test_three_seeds_each_are_judged_by_their_spread(tmp_path: Path, pair: tuple[Run, Run]) -> None:
    names = [(name, seed) for name in ("plain56", "resnet56") for seed in (1, 2)]
    others = [make_run(tmp_path / f"{name}-{seed}", name, seed) for name, seed in names]
    _, test = judge(BY_ID["residual-beats-plain"], [*others, *pair])[0].evidence
    assert "images" not in test.remark


def test_what_deepres_evaluate_keeps_is_found(tmp_path: Path, sample: Cifar10) -> None:
    pair = []
    for network in ("plain8", "resnet8"):
        recipe = dataclasses.replace(get_recipe(network).scaled_to(2), batch_size=16)
        train(recipe, tmp_path / network, sample, seed=0, device="cpu")
        assert (
            main(["evaluate", str(tmp_path / network), "--data", "sample", "--device", "cpu"]) == 0
        )
        pair.append(read_run(tmp_path / network))
    compared = paired_errors_of(*pair, "1-crop")
    assert compared is not None
    first, second = (error_by(run, "1-crop", "top1_error_pct") or 0.0 for run in pair)
    difference = 100 * (compared.first_alone - compared.second_alone) / compared.images
    assert compared.images == 1_000
    assert difference == pytest.approx(first - second)
