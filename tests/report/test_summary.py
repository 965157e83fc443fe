from pathlib import Path
from typing import Any

import pytest
from made_up_runs import make_detection_run, make_run

from deepres.report.claim import judge
from deepres.report.claims import CLAIMS
from deepres.report.commands import commands_for
from deepres.report.runs import Run
from deepres.report.summary import STANDINGS, JudgedClaim, Line, summary_line

BY_ID = {claim.id: claim for claim in CLAIMS}


def line(claim: str, runs: list[Run]) -> Line:
    return summary_line(JudgedClaim(BY_ID[claim], judge(BY_ID[claim], runs)), runs)


def made(folder: Path, model: str, *errors: float, **others: Any) -> list[Run]:
    start = sum(1 for _ in folder.iterdir())
    return [
        make_run(
            folder / str(start + seed),
            *(model, seed),
            **{"test_error_pct": error, "train_error_pct": error / 2} | others,
        )
        for seed, error in enumerate(errors)
    ]


@pytest.mark.parametrize(
    ("deep", "steps", "standing"),
    [
        ((13.0, 13.1, 13.2), None, "holds"),
        ((5.0, 5.1, 5.2), None, "does not hold"),
        ((9.0, 9.1, 9.2), None, "undecided"),
        ((13.0, 13.1), None, "undecided"),
        ((13.0, 13.1, 13.2), 2_000, "on others"),
        ((5.0, 5.1, 5.2), 2_000, "on others"),
        ((), None, "no run yet"),
    ],
)
def test_where_a_claim_stands(
    tmp_path: Path, deep: tuple[float, ...], steps: int | None, standing: str
) -> None:
    runs = made(tmp_path, "plain20", 9.0, 9.1, 9.2, steps=steps)
    runs += made(tmp_path, "plain56", *deep, steps=steps)
    found = line("degradation", runs)
    assert found.judged.standing == standing
    assert bool(found.contrary) == (5.0 in deep)
    assert found.judgement.papers == (standing != "on others")


def test_what_we_check_ourselves_is_not_against_the_paper(tmp_path: Path) -> None:
    norms = [5_000.0, 0.5, 1.0]
    signals = {"forward_std": [1.0, 0.8], "gradient_norm": norms}
    runs = [
        make_run(tmp_path / f"{name}-{seed}", name, seed, signals=signals)
        for name in ("plain20", "plain56", "plain34")
        for seed in range(3)
    ]
    ours = line("signals-do-not-vanish", runs)
    assert (ours.judged.standing, ours.judgement.verdict) == ("ours", "does not hold")
    assert "(the networks are ours)" in ours.judged.claim.sentence
    assert line("plain34-signals-do-not-vanish", runs).judged.standing == "does not hold"
    assert line("signals-do-not-vanish", []).judged.standing == "no run yet"


def test_highway_nets_are_not_judged_as_the_papers(tmp_path: Path) -> None:
    """The paper quotes them, and Table 6 has none of ours beside them."""
    runs = made(tmp_path, "highway32", 8.8, 8.9, 9.0) + made(tmp_path, "resnet32", 7.4, 7.5, 7.6)
    gates = line("identity-beats-gates", runs)
    assert (gates.judged.standing, gates.judgement.verdict) == ("ours", "holds")
    for claim in CLAIMS:
        if any(network.startswith("highway") for network in claim.networks):
            assert claim.ours, claim.id


def test_in_small_a_claim_stands_where_it_is_decided(tmp_path: Path) -> None:
    runs = []
    for steps, deep in ((8_000, (30.0,)), (2_000, (60.0, 61.0, 62.0)), (1_000, (5.0, 5.1, 5.2))):
        runs += made(tmp_path, "plain20", *(40.0, 41.0, 42.0)[: len(deep)], steps=steps)
        runs += made(tmp_path, "plain56", *deep, steps=steps)
    found = line("degradation", runs)
    assert (found.judged.standing, found.judgement.verdict) == ("on others", "holds")
    assert found.judgement.on == "shortened: 2,000 of 64,000 steps"
    alone = line("degradation", runs[:2])
    assert alone.judgement.on == "shortened: 8,000 of 64,000 steps"


def test_full_length_by_another_recipe_is_nothing_in_small(tmp_path: Path) -> None:
    others = {"deviations": {"batch_size": 256}}
    runs = made(tmp_path, "plain20", 9.0, 9.1, 9.2, **others)
    runs += made(tmp_path, "plain56", 13.0, 13.1, 13.2, **others)
    found = line("degradation", runs)
    assert found.judgement.on == "full length, but batches of 256"
    assert "in small or by another recipe" in STANDINGS[found.judged.standing]


def test_published_and_ours_with_all_seeds(tmp_path: Path) -> None:
    runs = made(tmp_path, "resnet110", 6.4, 6.6) + made(tmp_path, "resnet20", 8.0, 8.2)
    found = line("110-is-best", runs)
    (published,), (ours,) = found.published.values(), found.ours.values()
    assert published[0] == "ResNet-20 8.75"
    assert published[-1] == "ResNet-110 6.61 ± 0.16"
    assert ours[0] == "ResNet-20 8.10 ± 0.14 (n = 2)"
    assert ours[-1] == "ResNet-110 6.50 ± 0.14 (n = 2)"
    assert "ResNet-44 –" in ours
    assert sorted(run.model for run in found.judgement.runs) == ["resnet110"] * 2 + ["resnet20"] * 2


def test_numbers_of_imagenet_and_detection_are_the_tables() -> None:
    options = line("options-beat-plain", []).published["top-1 error, 10-crop (%)"]
    assert options == [
        *("plain-34 28.54", "ResNet-34 25.03", "ResNet-34 B 24.52", "ResNet-34 C 24.19"),
    ]
    coco = line("depth-transfers-to-coco", []).published
    assert [each.split()[-1] for each in coco["mAP@[.5, .95] (%)"]] == ["27.2", "21.2"]
    assert line("degradation", []).published == {}


def test_what_comes_out_against_the_paper_is_a_sentence(tmp_path: Path) -> None:
    runs = made(tmp_path, "resnet1202", 7.9, 8.0, 8.1)
    runs += made(tmp_path, "resnet110", 9.0, 9.1, 9.2)
    assert line("1202-overfits", runs).contrary == [
        "Training error (%): 0.1, ResNet-1202 4.00; expected: 0.1 > ResNet-1202.",
        "Test error (%): ResNet-1202 8.00, ResNet-110 9.10; expected: ResNet-1202 > ResNet-110.",
    ]


@pytest.mark.parametrize(
    ("claim", "commands"),
    [
        ("degradation", ["deepres train plain20 plain56 --seeds 3"]),
        (
            "options-beat-plain",
            [
                "deepres train plain34 resnet34 --seeds 3 --data IMAGENET",
                "deepres train resnet34 --seeds 3 --set shortcut=B --data IMAGENET",
                "deepres train resnet34 --seeds 3 --set shortcut=C --data IMAGENET",
                "deepres evaluate RUN --views 10-crop",
            ],
        ),
        (
            "one-layer-brings-nothing",
            [
                "deepres train plain20 --seeds 3",
                "deepres train resnet20 --seeds 3 --set residual_layers=1",
            ],
        ),
        (
            "signals-are-healthy-at-first",
            [f"deepres signals plain20 plain56 --seed {seed}" for seed in range(3)],
        ),
        (
            "plain34-signals-are-healthy-at-first",
            [
                f"deepres signals plain34 --seed {seed} --images 32 --data IMAGENET"
                for seed in range(3)
            ],
        ),
        (
            "depth-transfers-to-voc07",
            [
                f"deepres detect train {network} --on voc07+12 --weights WEIGHTS"
                for network in ("resnet101", "vgg16")
            ],
        ),
    ],
)
def test_commands_for_what_is_missing(claim: str, commands: list[str]) -> None:
    assert commands_for(BY_ID[claim], []) == commands


def test_of_trained_networks_only_the_measurement_is_missing(tmp_path: Path) -> None:
    names = [f"{net}-s{seed}" for net in ("plain20", "plain56") for seed in range(3)]
    runs = [make_run(tmp_path / "runs" / name, name[:7], int(name[-1])) for name in names]
    folders = " ".join(f"runs/{name}" for name in names)
    assert commands_for(BY_ID["signals-do-not-vanish"], runs) == [f"deepres signals {folders}"]
    assert commands_for(BY_ID["plain34-signals-do-not-vanish"], runs) == [
        "deepres train plain34 --seeds 3 --data IMAGENET",
        "deepres signals runs/plain34-s*",
    ]
    train, responses = commands_for(BY_ID["residual-responses-are-smaller"], runs)
    assert train == "deepres train resnet20 resnet56 --seeds 3"
    assert responses.startswith("deepres responses runs/plain20-s0 runs/plain20-s1")
    assert "runs/resnet20-s*" in responses
    runs = [make_detection_run(tmp_path / net, net, tests=()) for net in ("resnet101", "vgg16")]
    commands = commands_for(BY_ID["depth-transfers-to-voc07"], runs)
    assert commands == ["deepres detect evaluate RUN"] * 2


def test_seeds_that_are_missing_are_trained_and_none_again(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "results/resnet32-s0", "resnet32")]
    assert commands_for(BY_ID["identity-beats-gates"], runs) == [
        "deepres train resnet32 --seeds 2 --seed 1",
        "deepres train highway32 --seeds 3",
    ]
    runs.append(make_run(tmp_path / "results/highway32-s1", "highway32", 1))
    runs.append(make_run(tmp_path / "runs/highway32-s2", "highway32", 2, stopped_at=32_000))
    assert commands_for(BY_ID["identity-beats-gates"], runs) == [
        "deepres train resnet32 --seeds 2 --seed 1",
        "deepres train highway32 --seeds 2 --seed 3",
    ]


def test_seeds_that_cannot_be_compared_with_the_commands_count_for_nothing(tmp_path: Path) -> None:
    two = {"provenance": {"processes": 2}}  # BN sees halves of batches
    runs = [make_run(tmp_path / f"runs/plain20-s{i}", "plain20", i, **two) for i in range(3)]
    runs += [make_run(tmp_path / f"results/plain20-s{i}", "plain20", i, steps=300) for i in (3, 4)]
    assert commands_for(BY_ID["degradation"], runs) == [
        "deepres train plain20 --seeds 3 --seed 3",
        "deepres train plain56 --seeds 3",
    ]


def test_of_a_network_that_lacks_seeds_those_there_are_measured_too(tmp_path: Path) -> None:
    names = ("results/plain20-s0", "runs/plain20-s1", "results/plain56-s0")
    runs = [make_run(tmp_path / name, name[-10:-3], int(name[-1])) for name in names]
    assert commands_for(BY_ID["signals-do-not-vanish"], runs) == [
        "deepres train plain20 --seeds 1 --seed 2",
        "deepres train plain56 --seeds 2 --seed 1",
        "deepres signals results/plain20-s0 runs/plain20-s* results/plain56-s0 runs/plain56-s*",
    ]
