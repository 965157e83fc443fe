import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import deepres
from deepres.checkpoint import load_checkpoint, previous_of
from deepres.data.cifar10 import Cifar10
from deepres.errors import UserError
from deepres.recipes import Recipe, get_recipe
from deepres.run_folder import RunFolder
from deepres.training import resume, train
from deepres.training.state import Diverged

SHORT = dataclasses.replace(
    get_recipe("resnet8").shortened(24), batch_size=16, log_every=5, eval_every=10
)


@pytest.fixture(scope="module")
def data(sample: Cifar10) -> Cifar10:
    """A tenth of the sample, so that evaluations are short."""
    every = slice(None, None, 10)
    train, test = sample.train.subset(every), sample.test.subset(every)
    return dataclasses.replace(sample, train=train, test=test)


def run(path: Path, data: Cifar10, recipe: Recipe = SHORT, **options) -> RunFolder:
    train(recipe, path, data, device="cpu", **options)
    return RunFolder(path)


def outcome(folder: RunFolder) -> tuple[list[dict], dict]:
    """A run's metrics, but for how fast it was, and its weights."""
    events = [{k: v for k, v in e.items() if k != "images_per_s"} for e in folder.read_events()]
    return events, load_file(folder.weights)


def assert_same_bits(a: RunFolder, b: RunFolder) -> None:
    (events_a, weights_a), (events_b, weights_b) = outcome(a), outcome(b)
    assert events_a == events_b
    assert weights_a.keys() == weights_b.keys()
    for name, tensor in weights_a.items():
        assert torch.equal(tensor, weights_b[name]), name
    states = [load_checkpoint(folder.checkpoint)["optimizer"]["state"] for folder in (a, b)]
    for i, state in states[0].items():
        assert torch.equal(state["momentum_buffer"], states[1][i]["momentum_buffer"])


def test_a_run_leaves_its_folder(tmp_path: Path, data: Cifar10) -> None:
    folder = run(tmp_path / "run", data, seed=3)
    meta = folder.read_meta()
    assert Recipe.from_dict(meta["recipe"]) == SHORT
    assert meta["seed"] == 3
    assert meta["data"]["fingerprint"] == data.fingerprint()
    assert meta["provenance"]["torch"] == torch.__version__

    events = folder.read_events()
    trained = [(e["step"], e["lr"]) for e in events if e["split"] == "train"]
    assert trained == [(5, 0.1), (10, 0.1), (15, 0.01), (20, 0.001), (24, 0.001)]
    assert [e["step"] for e in events if e["split"] == "test"] == [10, 20, 24]

    result = json.loads(folder.result.read_text())
    assert result["steps"] == 24
    assert result["shortened_from"] == 64_000
    classifier = deepres.load_model(folder.path)
    evaluation = deepres.evaluate(classifier, data.test)
    assert evaluation.error_pct == result["test_error_pct"] == events[-1]["error_pct"]
    assert evaluation.images == len(data.test)


def test_a_run_is_a_function_of_recipe_data_and_seed(tmp_path: Path, data: Cifar10) -> None:
    first = run(tmp_path / "a", data)
    torch.manual_seed(99)  # the caller's random state must not matter
    assert_same_bits(first, run(tmp_path / "b", data))
    other = run(tmp_path / "c", data, seed=1)
    assert outcome(other)[0] != outcome(first)[0]


def test_it_leaves_the_callers_random_state_alone(tmp_path: Path, data: Cifar10) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path / "a", data)
    assert torch.equal(torch.rand(3), expected)


def test_training_learns(tmp_path: Path, sample: Cifar10) -> None:
    recipe = dataclasses.replace(get_recipe("resnet8").shortened(120), batch_size=64)
    result = train(recipe, tmp_path / "run", sample, device="cpu")
    assert result["test_error_pct"] < 75  # 90 is chance


def test_a_finished_run_can_be_extended(tmp_path: Path, data: Cifar10) -> None:
    whole = run(tmp_path / "whole", data, dataclasses.replace(SHORT, steps=40))
    first = run(tmp_path / "parts", data)
    resume(first.path, data, steps=40, device="cpu")
    events, weights = outcome(first)
    for name, tensor in outcome(whole)[1].items():
        assert torch.equal(weights[name], tensor)
    # It has the first part's last window and test as well, at step 24.
    assert [e for e in events if e["step"] != 24] == outcome(whole)[0]
    assert first.read_meta()["recipe"]["steps"] == 40
    with pytest.raises(UserError, match="has 40 steps; to extend it give more, got 40"):
        resume(first.path, data, steps=40, device="cpu")


def test_a_finished_run_can_be_resumed_in_vain(tmp_path: Path, data: Cifar10) -> None:
    folder = run(tmp_path / "run", data)
    before = outcome(folder), folder.result.read_text()
    folder.result.unlink()  # as after a kill in the very last moment
    resume(folder.path, data, device="cpu")
    after = outcome(folder), folder.result.read_text()
    assert after[0][0] == before[0][0]
    assert after[1] == before[1]


def test_warm_up_ends_by_its_condition_and_is_remembered(tmp_path: Path, data: Cifar10) -> None:
    # The bound that ends warm-up lies between the errors of two windows of this very run.
    endless = dataclasses.replace(SHORT, warm_up_lr=0.01, warm_up_until_error_pct=1e-3)
    errors = [e["error_pct"] for e in outcome(run(tmp_path / "endless", data, endless))[0]]
    assert {e["lr"] for e in outcome(run(tmp_path / "e2", data, endless))[0][:1]} == {0.01}
    bound = errors[1] + 1e-3  # the second window, steps 5 to 10, is the first below it...
    recipe = dataclasses.replace(endless, warm_up_until_error_pct=bound, lr_drops=(18,))
    first_below = 5 if errors[0] < bound else 10
    folder = run(tmp_path / "run", data, recipe)
    rates = {e["step"]: e["lr"] for e in outcome(folder)[0] if e["split"] == "train"}
    expected = {s: 0.01 if s <= first_below else 0.1 for s in (5, 10, 15)} | {20: 0.01, 24: 0.01}
    assert rates == expected
    assert load_checkpoint(folder.checkpoint)["warming_up"] is False


def test_validation_takes_the_place_of_the_test_set(tmp_path: Path, data: Cifar10) -> None:
    folder = run(tmp_path / "run", data, dataclasses.replace(SHORT, holdout=100))
    splits = [(e["step"], e["split"]) for e in folder.read_events() if e["split"] != "train"]
    assert splits == [(10, "val"), (20, "val"), (24, "val"), (24, "test")]


@pytest.mark.parametrize("damaged", ["bits", "cut"])
def test_the_previous_checkpoint_stands_in(tmp_path: Path, data: Cifar10, damaged: str) -> None:
    whole = run(tmp_path / "whole", data)
    folder = run(tmp_path / "run", data, save_every_s=0)
    content = bytearray(folder.checkpoint.read_bytes())
    assert load_checkpoint(previous_of(folder.checkpoint))["step"] == 23
    if damaged == "bits":
        content[len(content) // 2] ^= 1
    folder.checkpoint.write_bytes(content if damaged == "bits" else content[:-500])

    said: list[str] = []
    resume(folder.path, data, device="cpu", say=said.append)
    assert "checkpoint.pt is damaged" in said[0]
    assert load_checkpoint(previous_of(folder.checkpoint))["step"] == 23  # not the damaged one
    assert_same_bits(whole, folder)

    for path in (folder.checkpoint, previous_of(folder.checkpoint)):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="no whole checkpoint is left"):
        resume(folder.path, data, device="cpu", say=said.append)


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_diverging_run_stops_and_keeps_the_last_good_state(tmp_path: Path, data: Cifar10) -> None:
    with pytest.raises(Diverged, match=r"diverged: .* after step (\d+); the last good checkpoint"):
        run(tmp_path / "run", data, dataclasses.replace(SHORT, lr=1e18), save_every_s=0)
    folder = RunFolder(tmp_path / "run")
    for path in (folder.checkpoint, previous_of(folder.checkpoint)):
        if path.exists():
            state = load_checkpoint(path)
            assert all(t.isfinite().all() for t in state["model"].values())
    assert not folder.result.exists()


def test_the_step_that_diverges_is_named(tmp_path: Path, data: Cifar10, monkeypatch) -> None:
    from deepres.training import classify

    true_step, calls = classify.training_step, []

    def poisoned(*arguments):
        loss, errors = true_step(*arguments)
        calls.append(1)
        return (loss * float("nan") if len(calls) == 13 else loss), errors

    monkeypatch.setattr(classify, "training_step", poisoned)
    with pytest.raises(Diverged, match="the loss is nan after step 13"):
        run(tmp_path / "run", data)


def test_bf16_learns_like_fp32(tmp_path: Path, data: Cifar10) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        recipe = dataclasses.replace(SHORT, precision=precision)
        events = run(tmp_path / precision, data, recipe).read_events()
        losses[precision] = [e["loss"] for e in events if e["split"] == "train"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.1)
    assert losses["bf16"] != losses["fp32"]


def test_other_data_are_refused(tmp_path: Path, data: Cifar10, sample: Cifar10) -> None:
    folder = run(tmp_path / "run", data)
    with pytest.raises(UserError, match=r"was trained on the embedded sample.*give the same data"):
        resume(folder.path, sample, device="cpu")


@pytest.mark.gpu
def test_cuda_repeats_to_the_bit_and_starts_like_the_cpu(tmp_path: Path, data: Cifar10) -> None:
    folders = [RunFolder(tmp_path / name) for name in ("a", "b", "cpu")]
    for folder, device in zip(folders, ("cuda", "cuda", "cpu"), strict=True):
        train(SHORT, folder.path, data, device=device)
    assert_same_bits(folders[0], folders[1])
    first = [folder.read_events()[0]["loss"] for folder in folders]
    assert first[0] == pytest.approx(first[2], rel=1e-2)
