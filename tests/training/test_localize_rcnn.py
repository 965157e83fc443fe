import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from runs import assert_same_bits, resume, train
from small_detection import narrow_networks
from small_localization import tiny_rcnn_recipe, tiny_recipe, tiny_weights, two_classes

from deepres.data.detection.localization import (
    LocalizationData,
    LocalizationRCNNData,
    open_localization_data,
)
from deepres.detection.localizer_file import load_localizer
from deepres.detection.rcnn_file import load_rcnn
from deepres.errors import UserError
from deepres.evaluation.detection.region_inference import locate_by_regions
from deepres.models import load_classifier
from deepres.run_folder import RunFolder
from deepres.training import localization_rcnn
from deepres.training.interrupt import Interrupted


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a classifier and an RPN that was trained for some steps."""
    folder = tmp_path_factory.mktemp("given")
    images = open_localization_data(two_classes(folder / "tiny"))
    weights = tiny_weights(folder / "weights.safetensors")
    train(tiny_recipe(4), folder / "rpn", images, weights=weights, workers=0)
    return folder


@pytest.fixture
def images(given: Path) -> LocalizationData:
    return open_localization_data(given / "tiny")


@pytest.fixture
def data(given: Path, images: LocalizationData) -> LocalizationRCNNData:
    return LocalizationRCNNData(images, given / "rpn")


def test_a_run_leaves_its_folder(tmp_path: Path, given: Path, data: LocalizationRCNNData) -> None:
    run = tmp_path / "run"
    recipe = tiny_rcnn_recipe(6, "log_every=2", "eval_every=4")
    result = train(recipe, run, data, workers=0)
    folder = RunFolder(run)
    assert folder.read_result() == json.loads(json.dumps(result))
    events = folder.read_events()
    assert [(event["step"], event["split"]) for event in events] == [
        *((2, "train"), (4, "train"), (4, "val"), (6, "train"), (6, "test")),
    ]
    assert [event["images"] for event in events if event["split"] != "train"] == [3, 5]
    assert result["test_error_pct"] == events[-1]["error_pct"]
    # By default it begins from what the RPN began from.
    meta = folder.read_meta()
    assert meta["initial_weights"]["file"] == str(given / "weights.safetensors")
    assert meta["rpn"]["file"] == str(given / "rpn/model.safetensors")


def test_it_starts_from_the_weights_and_leaves_the_rpn(
    tmp_path: Path, given: Path, data: LocalizationRCNNData
) -> None:
    """With a rate of nearly zero all stays what it was, but for the two new layers."""
    train(tiny_rcnn_recipe(1, "lr=1e-30"), tmp_path / "run", data, workers=0)
    localizer, _ = load_rcnn(tmp_path / "run")
    classifier = load_classifier(given / "weights.safetensors").network.state_dict()
    kept = localizer.rcnn.network.state_dict()
    assert classifier.keys() - kept.keys() == {
        *("fc.weight", "fc.bias"),
        *(name for name in classifier if name.endswith("num_batches_tracked")),
    }
    assert all(torch.equal(tensor, classifier[name]) for name, tensor in kept.items())
    rpn = load_localizer(given / "rpn")[0].state_dict()
    assert all(
        torch.equal(tensor, rpn[name]) for name, tensor in localizer.proposer.state_dict().items()
    )
    assert localizer.mean.flatten().tolist() == [0.25] * 3


def test_a_killed_run_resumes_to_the_same_bits(
    tmp_path: Path,
    given: Path,
    data: LocalizationRCNNData,
    interrupt_after: Callable[[int], None],
) -> None:
    """All that it needs is in its folder, and the images."""
    recipe = tiny_rcnn_recipe(6, "log_every=2", "eval_every=4")
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    weights = tiny_weights(tmp_path / "weights.safetensors")
    train(recipe, whole.path, data, weights=weights, seed=1, workers=0)
    interrupt_after(3)
    with pytest.raises(Interrupted, match="step 3; go on with: deepres localize train --resume"):
        train(recipe, stopped.path, data, weights=weights, seed=1, workers=0)
    weights.unlink()
    torch.rand(1)  # whatever the process draws meanwhile
    alone = LocalizationRCNNData(data.images)
    resume(stopped.path, alone, workers=0, say=lambda line: None)
    assert_same_bits(whole, stopped)


def test_dropout_is_drawn_from_the_seed_and_left_out_of_tests(
    tmp_path: Path,
    images: LocalizationData,
    interrupt_after: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """VGG has it."""
    asked: list[tuple[object, ...]] = []
    located: list[torch.Tensor] = []

    def note(members, *arguments):
        asked.append(arguments)
        located.append(locate_by_regions(members, *arguments))
        return located[-1]

    monkeypatch.setattr(localization_rcnn, "locate_by_regions", note)
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    recipe = tiny_rcnn_recipe(
        *(4, "crop=32", "foreground_iou=0.3", "log_every=1", "eval_every=2"), model="vgg16"
    )
    with narrow_networks():
        weights = tiny_weights(tmp_path / "weights.safetensors", model="vgg16")
        first = tiny_recipe(2, "crop=32", model="vgg16")
        train(first, tmp_path / "rpn", images, weights=weights, workers=0)
        data = LocalizationRCNNData(images, tmp_path / "rpn")
        train(recipe, whole.path, data, workers=0)
        localizer, _ = load_rcnn(whole.path)
        assert torch.equal(located[-1], locate_by_regions([localizer], *asked[-1]))
        interrupt_after(3)
        with pytest.raises(Interrupted):
            train(recipe, stopped.path, data, workers=0)
        torch.rand(1)  # whatever the process draws meanwhile
        resume(stopped.path, data, workers=0)
    assert_same_bits(whole, stopped)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(
    tmp_path: Path, data: LocalizationRCNNData
) -> None:
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    train(tiny_rcnn_recipe(2), whole.path, data, seed=1, workers=0)
    killed.write_meta(whole.read_meta())
    resume(killed.path, LocalizationRCNNData(data.images), workers=0)
    assert_same_bits(whole, killed)


def test_regions_are_proposed_if_there_are_steps_to_take(
    tmp_path: Path, data: LocalizationRCNNData
) -> None:
    run, said = tmp_path / "run", []
    train(tiny_rcnn_recipe(1), run, data, workers=0, say=said.append)
    for steps in (None, 2):
        resume(run, data, steps=steps, workers=0, say=said.append)
    assert [line.split()[0] for line in said] == ["proposing", "all", "proposing", "going"]


def test_all_is_drawn_from_the_seed(
    tmp_path: Path, data: LocalizationRCNNData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New layers and regions."""
    own_step = localization_rcnn.rcnn_step
    drawn: list[torch.Tensor] = []

    def note(network, rcnn, optimizer, regions):
        drawn.append(regions.images)
        return own_step(network, rcnn, optimizer, regions)

    monkeypatch.setattr(localization_rcnn, "rcnn_step", note)
    layers = []
    for name, seed in (("a", 0), ("b", 1), ("again", 0)):
        run = tmp_path / name
        train(tiny_rcnn_recipe(1, "lr=1e-30"), run, data, seed=seed, workers=0)
        layers.append(load_rcnn(run)[0].rcnn.siblings.cls_score.weight)
    assert torch.equal(layers[0], layers[2])
    assert not torch.equal(layers[0], layers[1])
    first, other, again = drawn
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_does_not_fit_is_named(
    tmp_path: Path, given: Path, data: LocalizationRCNNData, images: LocalizationData
) -> None:
    run = tmp_path / "run"
    with pytest.raises(UserError, match="give that one's run by --rpn"):
        train(tiny_rcnn_recipe(2), run, LocalizationRCNNData(images))
    no_rpn = LocalizationRCNNData(images, given / "weights.safetensors")
    with pytest.raises(UserError, match="and a localization network is asked for"):
        train(tiny_rcnn_recipe(2), run, no_rpn)
    others = tiny_weights(tmp_path / "others.safetensors", ("n01", "n03"))
    with pytest.raises(UserError, match="tells other classes apart"):
        train(tiny_rcnn_recipe(2), run, data, weights=others)
    with pytest.raises(UserError, match="none is an object; train it longer"):
        train(tiny_rcnn_recipe(2, "foreground_iou=1"), run, data, workers=0)
    assert not run.exists()
    train(tiny_rcnn_recipe(1), run, data, workers=0)
    with pytest.raises(UserError, match="holds a localization network's R-CNN"):
        train(tiny_rcnn_recipe(1), tmp_path / "next", LocalizationRCNNData(images, run))


def test_it_is_trained_on_real_photographs(tmp_path: Path, two_tiny_classes: Path) -> None:
    """Boxes as published: some are of zero size."""
    images = open_localization_data(two_tiny_classes, "skip", say=lambda line: None)
    assert images.classes == ("n01443537", "n01629819")
    weights = tiny_weights(tmp_path / "weights.safetensors", images.classes)
    size = ["crop=56", "bad_boxes=skip"]
    rpns = tiny_recipe(2, "short_side=64,80", "anchor_sizes=14,28,56", *size)
    train(rpns, tmp_path / "rpn", images, weights=weights, workers=0)
    recipe = tiny_rcnn_recipe(3, "context=4", "log_every=1", "eval_every=3", *size)
    data = LocalizationRCNNData(images, tmp_path / "rpn")
    result = train(recipe, tmp_path / "rcnn", data, workers=0)
    *_, tested = RunFolder(tmp_path / "rcnn").read_events()
    assert tested["images"] == len(images.test) == 20
    assert result["test_error_pct"] in [5 * missed for missed in range(21)]
