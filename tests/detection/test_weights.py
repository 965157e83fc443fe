from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_detector import CLASSES, detector_on, images, small_classifier

from deepres.detection.faster_rcnn import Detector
from deepres.detection.weights import load_detector, save_detector
from deepres.errors import UserError
from deepres.models import load_classifier, save_weights


@pytest.fixture
def detector() -> Detector:
    settings = {"masks": True, "global_context": True, "batch_norm": "trained"}
    return detector_on(small_classifier("resnet18"), **settings)


@pytest.fixture
def weights(tmp_path: Path, detector: Detector) -> Path:
    save_detector(tmp_path / "model.safetensors", detector, {"seed": 0})
    return tmp_path / "model.safetensors"


def test_a_detector_comes_back_as_it_was(weights: Path, detector: Detector) -> None:
    loaded = load_detector(weights.parent)
    assert loaded.classes == CLASSES
    assert loaded.settings == detector.settings
    assert loaded.architecture == detector.architecture
    assert not loaded.training
    assert [(name, p.requires_grad) for name, p in loaded.named_parameters()] == [
        (name, p.requires_grad) for name, p in detector.named_parameters()
    ]
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images()), detector.eval()(images()), rtol=0, atol=0)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3)])
def test_a_detector_takes_the_mean_of_a_classifiers_file(
    weights: Path, detector: Detector, height: int, width: int
) -> None:
    """It has a value a channel, and may be an image."""
    with safe_open(weights, framework="pt") as archive:
        notes = archive.metadata()["deepres"]
    tensors = load_file(weights)
    tensors["input_mean"] = tensors["input_mean"][:, None, None].repeat(1, height, width)
    tensors["input_std"] = tensors["input_std"].view(3, 1, 1)
    save_file(tensors, weights, metadata={"deepres": notes})
    loaded = load_detector(weights)
    torch.testing.assert_close(loaded.mean, detector.mean)
    assert torch.equal(loaded.std, detector.std)
    with torch.inference_mode():
        loaded(images())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("rpn.head.cls_logits.bias"), "rpn.head.cls_logits.bias is missing"),
        (lambda t: t.pop("input_mean"), "input_mean is missing"),
        (lambda t: t.update(extra=torch.ones(1)), "extra is not part of it"),
        (
            lambda t: t.update({"backbone.conv1.weight": torch.ones(64, 3, 3, 3)}),
            r"backbone.conv1.weight has shape \(64, 3, 3, 3\), expected \(64, 3, 7, 7\)",
        ),
    ],
)
def test_loading_is_strict(weights: Path, change, message: str) -> None:
    with safe_open(weights, framework="pt") as archive:
        notes = archive.metadata()["deepres"]  # and no digest, as in files of before
    tensors = load_file(weights)
    change(tensors)
    save_file(tensors, weights, metadata={"deepres": notes})
    with pytest.raises(UserError, match=message):
        load_detector(weights)


def test_a_classifier_is_no_detector_and_a_detector_no_classifier(
    weights: Path, tmp_path: Path
) -> None:
    save_weights(tmp_path / "classifier.safetensors", small_classifier("resnet18"), {})
    asked = "holds a classifier, and a detector is asked for: give a run of deepres detect train"
    with pytest.raises(UserError, match=asked):
        load_detector(tmp_path / "classifier.safetensors")
    with pytest.raises(
        UserError, match=r"holds a detector, .* or use the commands of deepres detect"
    ):
        load_classifier(weights)


def test_a_flipped_bit_is_found(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-1000] ^= 64
    weights.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: its content does not match its checksum"):
        load_detector(weights)
