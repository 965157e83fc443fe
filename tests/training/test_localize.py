import json
import os
import signal
from pathlib import Path

import pytest
import torch
from runs import resume, train
from small_localization import tiny_recipe, tiny_weights, two_classes

from deepres.checkpoint import load_checkpoint
from deepres.data.detection.localization import LocalizationData, open_localization_data
from deepres.detection.localizer_file import load_localizer
from deepres.errors import UserError
from deepres.models import load_classifier
from deepres.run_folder import RunFolder
from deepres.training import localization
from deepres.training.interrupt import Interrupted


@pytest.fixture
def data(tmp_path: Path) -> LocalizationData:
    return open_localization_data(two_classes(tmp_path / "tiny"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_weights(tmp_path / "weights.safetensors")


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_localizer(run)[0].network.state_dict()
    return state


def test_a_run_leaves_its_folder(tmp_path: Path, data: LocalizationData, weights: Path) -> None:
    run = tmp_path / "run"
    recipe = tiny_recipe(6, "log_every=2", "eval_every=4")
    result = train(recipe, run, data, weights=weights, workers=0)
    folder = RunFolder(run)
    assert folder.read_result() == json.loads(json.dumps(result))
    assert result["steps"] == 6
    assert result["scaled_from"] == 60_000
    events = folder.read_events()
    assert [(event["step"], event["split"]) for event in events] == [
        *((2, "train"), (4, "train"), (4, "val"), (6, "train"), (6, "test")),
    ]
    assert [event["images"] for event in events if event["split"] != "train"] == [3, 5]
    assert result["test_error_pct"] == events[-1]["error_pct"]
    # The mean of all training boxes, worked out by hand: x from 8.5 and 20, y from 10 and 9.
    torch.testing.assert_close(
        torch.tensor(result["mean_box"]) * 64, torch.tensor([14.25, 9.5, 44.25, 39.5])
    )
    meta = folder.read_meta()
    assert meta["initial_weights"]["file"] == str(weights)
    assert meta["deviations"]["crop"] == 28


def test_it_starts_from_the_weights(tmp_path: Path, data: LocalizationData, weights: Path) -> None:
    """With a rate of nearly zero they stay what they were."""
    run = tmp_path / "run"
    train(tiny_recipe(1, "lr=1e-30"), run, data, weights=weights, workers=0)
    expected = load_classifier(weights).network.state_dict()
    kept = {
        name.removeprefix("network."): tensor
        for name, tensor in weights_of(run).items()
        if name.startswith("network.")
    }
    assert len(kept) > 20
    for name, tensor in kept.items():
        assert torch.equal(tensor, expected[name]), name
    assert load_localizer(run)[0].mean.flatten().tolist() == [0.25] * 3


def test_a_stopped_run_resumes_to_the_same_bits(
    tmp_path: Path,
    data: LocalizationData,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = tiny_recipe(6, "log_every=2", "eval_every=4")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(recipe, whole, data, weights=weights, seed=1, workers=0)

    step, own_step = 0, localization.rpn_step

    def stop_at_the_third(*arguments):
        nonlocal step
        step += 1
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return own_step(*arguments)

    monkeypatch.setattr(localization, "rpn_step", stop_at_the_third)
    with pytest.raises(Interrupted, match="step 3; go on with: deepres localize train --resume"):
        train(recipe, stopped, data, weights=weights, seed=1, workers=0)
    weights.unlink()  # all that is needed is in the run's folder
    torch.rand(1)  # whatever the process draws meanwhile
    result = resume(stopped, data, workers=0, say=lambda line: None)

    before, after = weights_of(whole), weights_of(stopped)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (
        result["test_error_pct"]
        == json.loads((whole / "result.json").read_text())["test_error_pct"]
    )
    losses = [[e.get("loss") for e in RunFolder(run).read_events()] for run in (whole, stopped)]
    assert losses[0] == losses[1]


def test_all_is_drawn_from_the_seed(
    tmp_path: Path,
    data: LocalizationData,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New layers, crops, and the anchors of each place in each batch."""
    own_step = localization.rpn_step
    drawn: list[tuple[torch.Tensor, list[int]]] = []

    def note(network, optimizer, crops, seeds):
        drawn.append((crops.images, seeds))
        return own_step(network, optimizer, crops, seeds)

    monkeypatch.setattr(localization, "rpn_step", note)
    recipe = tiny_recipe(2, "lr=1e-30")
    layers = []
    for name, seed in (("a", 0), ("b", 1), ("again", 0)):
        run = tmp_path / name
        train(recipe, run, data, weights=weights, seed=seed, workers=0)
        layers.append(weights_of(run)["rpn.head.cls_logits.weight"])
    assert torch.equal(layers[0], layers[2])
    assert not torch.equal(layers[0], layers[1])
    (first, second), (other, _), (again, _) = drawn[:2], drawn[2:4], drawn[4:]
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    assert first[1] == again[1]
    assert len({*first[1], *second[1], *other[1]}) == 3 * 4


def test_a_finished_run_can_be_extended(
    tmp_path: Path, data: LocalizationData, weights: Path
) -> None:
    run = tmp_path / "run"
    train(tiny_recipe(2), run, data, weights=weights, workers=0)
    result = resume(run, data, steps=3, workers=0, say=lambda line: None)
    assert result["steps"] == 3
    assert load_checkpoint(RunFolder(run).checkpoint)["step"] == 3


def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, data: LocalizationData, weights: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    train(tiny_recipe(2), folder.path, data, weights=weights, workers=0)
    folder.write_meta(folder.read_meta() | {"seed": 1})
    with pytest.raises(UserError, match=r"is of another run than .*: seed 1 \(saved: 0\)"):
        resume(folder.path, data, workers=0, say=lambda line: None)


def test_weights_must_be_of_the_recipes_network_and_of_the_datas_classes(
    tmp_path: Path, data: LocalizationData
) -> None:
    run = tmp_path / "run"
    others = tiny_weights(tmp_path / "others.safetensors", ("n01", "n03"))
    with pytest.raises(UserError, match="tells other classes apart"):
        train(tiny_recipe(2), run, data, weights=others)
    recipe = tiny_recipe(2)
    object.__setattr__(recipe, "model", "resnet14")
    with pytest.raises(UserError, match="is of resnet8, not of resnet14"):
        train(recipe, run, data, weights=others)
    assert not run.exists()


def test_a_run_goes_on_with_its_own_data_alone(
    tmp_path: Path, data: LocalizationData, weights: Path
) -> None:
    run = tmp_path / "run"
    train(tiny_recipe(1), run, data, weights=weights, workers=0)
    with pytest.raises(UserError, match="already holds a run"):
        train(tiny_recipe(1), run, data, weights=weights)
    other = LocalizationData(data.train, data.train)
    with pytest.raises(UserError, match="give the same data by --data"):
        resume(run, other)
