"""Classifiers that go on from given weights."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import image_folder
from PIL import Image
from runs import assert_same_bits, on_cpu, resume, train
from safetensors.torch import load_file

import deepres
from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder, open_image_folder
from deepres.data.imagenet_names import imagenet_names
from deepres.errors import UserError
from deepres.models import Classifier, build_network, save_weights
from deepres.models.weights import read_weights
from deepres.recipes import ClassificationRecipe, fine_tuned, get_recipe
from deepres.run_folder import RunFolder
from deepres.run_places import results_folder
from deepres.training.classification import Classification
from deepres.training.given_weights import given_weights, in_words, same_classes
from deepres.training.interrupt import Interrupted

FEW = ["batch_size=8", "log_every=2", "eval_every=4", "lr_drops=4"]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of ResNet-8 for three classes, whose input is divided by a standard deviation."""
    return some_weights(tmp_path_factory.mktemp("given") / "resnet8.safetensors", "abc")


def some_weights(file: Path, classes: Any, name: str = "resnet8", **options: Any) -> Path:
    torch.manual_seed(3)
    network = build_network(name, num_classes=len(classes), **options)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.5, 2)
            layer.num_batches_tracked.fill_(7)
    mean, std = torch.tensor([[0.5], [0.4], [0.3]]), torch.tensor([[0.2], [0.25], [0.3]])
    classifier = Classifier(network, mean[..., None], tuple(classes), std=std[..., None], crop=32)
    save_weights(file, classifier, {})
    return file


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    return open_image_folder(image_folder(tmp_path_factory.mktemp("photos"), train=8, val=3))


@pytest.fixture(scope="module")
def few(sample: Cifar10) -> Cifar10:
    parts = (sample.train.subset(slice(64)), sample.test.subset(slice(20)))
    return dataclasses.replace(sample, train=parts[0], test=parts[1])


def recipe_for(weights: Path, data: Any, *settings: str) -> ClassificationRecipe:
    network = "resnet18" if "resnet18" in weights.name else "resnet8"
    recipe = deepres.fine_tuning_recipe(network, weights, data).scaled_to(6)
    return recipe.changed([*FEW, *settings])


def begun(recipe: ClassificationRecipe, data: Any, weights: Path) -> Classification:
    return Classification.begin(recipe, data, 0, on_cpu(workers=0), weights)


def test_all_but_the_layer_of_other_classes_is_as_given(given: Path, photos: ImageFolder) -> None:
    task = begun(recipe_for(given, photos, "new_layer_lr_factor=10"), photos, given)
    then, now = load_file(given), task.model.state_dict()
    assert {name for name in now if name not in then or not torch.equal(now[name], then[name])} == {
        "fc.weight",
        "fc.bias",
    }
    assert now["fc.weight"].shape == (2, 64)
    assert torch.equal(task.classifier.mean, then["input_mean"])
    assert torch.equal(task.classifier.std, then["input_std"])
    assert task.classifier.classes == ("class0", "class1")
    assert task.meta()["initial_weights"]["new"] == ["fc"]
    rates = {len(group["params"]): group["lr"].item() for group in task.optimizer.param_groups}
    assert rates == pytest.approx({2: 0.1, len(list(task.model.parameters())) - 2: 0.01})


def test_the_layer_of_the_same_classes_is_kept(tmp_path: Path, few: Cifar10) -> None:
    weights = some_weights(tmp_path / "same.safetensors", few.classes)
    task = begun(recipe_for(weights, few), few, weights)
    then = load_file(weights)
    assert all(torch.equal(then[name], now) for name, now in task.model.state_dict().items())
    assert task.meta()["initial_weights"]["new"] == []
    assert [group["lr"].item() for group in task.optimizer.param_groups] == pytest.approx([0.01])


def test_imagenets_classes_go_by_words_or_by_ids() -> None:
    ids = [f"n{number:08}" for number in range(1000)]
    assert same_classes(imagenet_names(), ids)
    assert not same_classes(imagenet_names(), ids[:999])
    assert not same_classes(imagenet_names(), [f"class{i}" for i in range(1000)])
    assert not same_classes(("a", "b"), ("b", "a"))


def test_a_network_without_recipe_is_refused_before_a_download(
    monkeypatch: pytest.MonkeyPatch, photos: ImageFolder
) -> None:
    where = "deepres.training.given_weights.weights_for"
    monkeypatch.setattr(where, lambda *_: pytest.fail("it fetches"))
    with pytest.raises(UserError, match="no recipe 'vgg16'"):
        deepres.fine_tuning_recipe("vgg16", "torchvision", photos)
    with pytest.raises(UserError, match="no recipe 'vgg16'"):
        fine_tuned("vgg16", files=True)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("graph", [False, True])
def test_frozen_stages_and_their_statistics_stay(
    tmp_path: Path, given: Path, few: Cifar10, precision: str, graph: bool
) -> None:
    recipe = recipe_for(given, few, "freeze=conv2_x", f"precision={precision}", "weight_decay=0.1")
    train(recipe, tmp_path / "run", few, weights=given, fused_kernels=graph)
    then, now = load_file(given), load_file(tmp_path / "run/model.safetensors")
    for name, tensor in now.items():
        frozen = name.startswith(("input", "conv1", "bn1", "layer1"))
        assert (tensor.shape == then[name].shape and torch.equal(tensor, then[name])) == frozen, (
            name
        )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_resumes_to_the_same_bits(
    tmp_path: Path, given: Path, photos: ImageFolder, interrupt_after, precision: str
) -> None:
    recipe = recipe_for(given, photos, "freeze=conv1", f"precision={precision}")
    whole, halved = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "halved")
    train(recipe, whole.path, photos, weights=given, workers=0)
    interrupt_after(3)
    with pytest.raises(Interrupted):
        train(recipe, halved.path, photos, weights=given, workers=0)
    resume(halved.path, photos, workers=0)  # no weights: all is in its folder
    assert_same_bits(whole, halved)
    assert whole.read_meta()["initial_weights"] == halved.read_meta()["initial_weights"]


def test_it_says_that_it_is_no_recipe_of_the_paper(
    tmp_path: Path, given: Path, photos: ImageFolder
) -> None:
    said: list[str] = []
    recipe = recipe_for(given, photos, "freeze=conv1")
    result = train(recipe, tmp_path, photos, weights=given, workers=0, say=said.append)
    [line] = [line for line in said if "fine-tuning" in line]
    digest = result["initial_weights"]["sha256"]
    assert "no recipe of the paper" in line
    assert digest[:8] in line
    assert "but for fc, drawn by seed 0; frozen up to conv1" in line
    assert {**result["deviations"], "pretrained": True, "freeze": "conv1", "lr": 0.01}.items() <= (
        result["deviations"].items()
    )
    run = RunFolder(tmp_path)
    begun_from = run.read_meta()["initial_weights"]
    assert (begun_from["sha256"], begun_from["file"]) == (digest, str(given.resolve()))
    _, noted = read_weights(run.weights)  # which others may get, and a path is its maker's
    assert noted["initial_weights"]["file"] == f"{given.parent.name}/{given.name}"


@pytest.mark.parametrize("by_ids", [True, False])
def test_it_says_when_ids_are_taken_for_imagenets(tmp_path: Path, by_ids: bool) -> None:
    weights = some_weights(tmp_path / "imagenet.safetensors", imagenet_names())
    ids = [f"n{number:08}" for number in range(1000)]
    recipe = fine_tuned("resnet8", files=True)
    given = given_weights(weights, recipe, ids if by_ids else imagenet_names())
    assert given.noted["new"] == []
    words = "with fc: 1,000 names that are WordNet ids are taken for ImageNet's"
    assert (words in in_words(given, recipe, 0)) == by_ids


def test_given_weights_learn_faster_than_random_ones(tmp_path: Path, sample: Cifar10) -> None:
    """Ten steps on cats and ships, as pictures of classes that have other names."""
    for part, images, count in (("train", sample.train, 40), ("val", sample.test, 20)):
        for name, label in (("mine", 3), ("yours", 8)):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            chosen = images.images[images.labels == label][:count]
            for i, pixels in enumerate(chosen):
                Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    data = open_image_folder(tmp_path / "data")
    weights = results_folder() / "resnet20-s0"
    recipe = deepres.fine_tuning_recipe("resnet20", weights, data).scaled_to(10)
    recipe = recipe.changed(["batch_size=16", "eval_every=10"])
    tuned = train(recipe, tmp_path / "tuned", data, weights=weights, workers=0)
    from_scratch = dataclasses.replace(recipe, pretrained=False, lr=0.1)
    scratch = train(from_scratch, tmp_path / "scratch", data, workers=0)
    assert 2 * tuned["test_error_pct"] < scratch["test_error_pct"]


def test_the_recipe_follows_the_weights(tmp_path: Path, photos: ImageFolder, few: Cifar10) -> None:
    name = tmp_path / "resnet18.safetensors"
    weights = some_weights(name, "abcd", "resnet18", shortcut="B", pool="ceil")
    recipe = deepres.fine_tuning_recipe("resnet18", weights, photos)
    assert recipe.model_options() == {"shortcut": "B", "pool": "ceil", "stride_on": None}
    assert (recipe.crop, recipe.short_side) == (32, (37, 69))
    assert recipe.deviations().keys() >= {"pretrained", "steps", "lr", "shortcut", "pool", "crop"}
    assert recipe.scaled_to(400).scaled_from == 4000
    with pytest.raises(UserError, match="has shortcut=B, but the recipe's network has A"):
        begun(recipe.changed(["shortcut=A"]), photos, weights)
    with pytest.raises(UserError, match="resnet18 learns from folders of images"):
        deepres.fine_tuning_recipe("resnet18", weights, few)


def test_mistakes(tmp_path: Path, given: Path, few: Cifar10) -> None:
    recipe = recipe_for(given, few)
    with pytest.raises(UserError, match="is of resnet8, not of resnet20; name resnet8"):
        deepres.fine_tuning_recipe("resnet20", given, few)
    with pytest.raises(UserError, match="for given weights of resnet8; name them by --weights"):
        train(recipe, tmp_path / "run", few)
    with pytest.raises(UserError, match="the paper's recipe of resnet8 begins from random weights"):
        train(get_recipe("resnet8"), tmp_path / "run", few, weights=given)
    with pytest.raises(UserError, match="one of conv1, conv2_x, conv3_x, conv4_x, or none, got fc"):
        begun(recipe.changed(["freeze=fc"]), few, given)
    with pytest.raises(UserError, match="freeze=conv1 is for given weights; add --weights"):
        get_recipe("resnet8").changed(["freeze=conv1"])
    assert not (tmp_path / "run").exists()


def test_merged_statistics_are_not_trained_on(tmp_path: Path, few: Cifar10) -> None:
    network = build_network("resnet8")  # mean 0 and variance 1, as what Detectron's files leave
    file = tmp_path / "merged.safetensors"
    save_weights(file, Classifier(network, torch.zeros(3, 1, 1), few.classes), {})
    recipe = recipe_for(file, few)
    for freeze in ("none", "conv3_x"):
        with pytest.raises(UserError, match=r"BN's statistics merged .* by --freeze conv4_x"):
            begun(recipe.changed([f"freeze={freeze}"]), few, file)
    task = begun(recipe.changed(["freeze=conv4_x"]), few, file)
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    task.step(0)
    changed = {
        n for n, tensor in task.model.state_dict().items() if not torch.equal(tensor, before[n])
    }
    assert changed == {"fc.weight", "fc.bias"}
