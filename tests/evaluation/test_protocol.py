import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import image_folder
from runs import on_cpu

import deepres
from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder, open_image_folder
from deepres.errors import UserError
from deepres.evaluation.protocol import EvaluatedImages, score_weights
from deepres.evaluation.under_test import UnderTest
from deepres.models import Classifier, load_classifier, save_weights


def always(place: int, classes: tuple[str, ...]) -> Classifier:
    """A classifier that takes everything for the class at ``place``."""
    network = deepres.create_model("resnet8", num_classes=len(classes))
    with torch.no_grad():
        network.get_parameter("fc.bias")[place] += 1e4
    return Classifier(network, torch.zeros(3, 1, 1), classes)


@pytest.mark.parametrize("classes", [("cat", "dog", "owl"), (*"abcdefghijkl",)])
def test_a_model_of_other_classes_is_refused(
    classes: tuple[str, ...], sample: Cifar10, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"the model tells {len(classes)} .*has 10 \(airplane, "):
        deepres.evaluate(always(0, classes), sample)
    folder = open_image_folder(image_folder(tmp_path, classes=2, train=1, val=1))
    with pytest.raises(UserError, match=r"has 2 \(class0, class1\)"):
        deepres.evaluate(always(0, classes), folder)


def test_classes_go_by_name(sample: Cifar10, tmp_path: Path) -> None:
    short = dataclasses.replace(sample, test=sample.test.subset(slice(20)))
    scores = deepres.evaluate(always(0, sample.classes[::-1]), short)
    assert scores.confusion()[:, 0].tolist() == [2] * 10
    assert scores.labels.tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0] * 2
    folder = open_image_folder(image_folder(tmp_path, classes=3, train=1, val=2))
    scores = deepres.evaluate(always(0, ("class2", "class0", "class1")), folder)
    assert scores.labels.tolist() == [1, 1, 2, 2, 0, 0]


@pytest.mark.parametrize("label", [-2, 3])
def test_labels_are_of_the_classes_or_unknown(label: int, tmp_path: Path) -> None:
    folder = open_image_folder(image_folder(tmp_path, classes=3, train=1, val=1))
    model = always(0, ("class2", "class0", "class1"))

    def with_label(label: int) -> ImageFolder:
        test = dataclasses.replace(folder.test, labels=(0, -1, label))
        return dataclasses.replace(folder, test=test)

    assert deepres.evaluate(model, with_label(2)).labels.tolist() == [1, -1, 0]
    with pytest.raises(UserError, match=f"an image has the label {label}, and the network's 3"):
        deepres.evaluate(model, with_label(label))


def test_classes_that_share_no_name_go_in_order_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = open_image_folder(image_folder(tmp_path, classes=3, train=1, val=2))
    scores = deepres.evaluate(always(1, ("cat", "dog", "owl")), folder)
    assert scores.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert "the first is class0 in" in capsys.readouterr().out


def test_names_that_repeat_are_their_places_or_refused(sample: Cifar10, tmp_path: Path) -> None:
    folder = open_image_folder(image_folder(tmp_path, classes=3, train=1, val=1))
    twice = dataclasses.replace(folder, classes=("crane", "maillot", "crane"))
    assert deepres.evaluate(always(0, twice.classes), twice).labels.tolist() == [0, 1, 2]
    with pytest.raises(UserError, match="tells 3 classes apart"):
        deepres.evaluate(always(0, ("crane", "crane", "maillot")), twice)


def test_what_is_given_by_mistake_is_one_clear_line(sample: Cifar10) -> None:
    few = sample.test.subset(slice(2))
    model = always(0, sample.classes)
    network: Any = deepres.create_model("resnet8")
    device: Any = "cpu"
    with pytest.raises(UserError, match="unknown views '11-crop'; did you mean"):
        deepres.evaluate(model, few, "11-crop")
    with pytest.raises(UserError, match=r"^expected a classifier, .* got ResNet$"):
        deepres.evaluate(network, few)
    sample: Any = "sample"
    with pytest.raises(UserError, match=r"^expected images to test on, .* got 'sample'$"):
        deepres.evaluate(model, sample)
    with pytest.raises(UserError, match=r"as Execution\.on\('cpu'\) makes it, got 'cpu'"):
        deepres.evaluate(model, few, execution=device)


def test_kept_scores_are_told_apart_by_the_order_of_classes(
    sample: Cifar10, tmp_path: Path
) -> None:
    file = tmp_path / "a.safetensors"
    save_weights(file, always(0, sample.classes), {})
    tested = UnderTest.open(file, load_classifier, torch.device("cpu"))
    images = EvaluatedImages(sample.test.subset(slice(20)), "these")
    for each in (images, images._replace(places=range(9, -1, -1)), images):
        labels = score_weights(tested, each, "1-crop", on_cpu(), fold=False).labels
        order = each.places or range(10)
        assert labels.tolist() == [order[label] for label in [*range(10)] * 2]
    assert len([*(tmp_path / "scores").iterdir()]) == 1
