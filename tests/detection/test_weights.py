from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_detection import narrow_networks, tiny_recipe
from small_detector import CLASSES, detector_on, images, small_classifier

from deepres.detection.faster_rcnn import Detector
from deepres.detection.weights import initial_detector, load_detector, save_detector
from deepres.errors import UserError
from deepres.models import load_model, save_weights
from deepres.recipes import DetectionRecipe, detection_recipe


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
    assert [name for name, _ in loaded.trained_parameters()] == [
        name for name, _ in detector.trained_parameters()
    ]
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images()), detector.eval()(images()), rtol=0, atol=0)


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
    with pytest.raises(UserError, match="holds no detector"):
        load_detector(tmp_path / "classifier.safetensors")
    with pytest.raises(UserError, match="holds a detector"):
        load_model(weights)


def test_a_flipped_bit_is_found(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-1000] ^= 64
    weights.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: its content does not match its checksum"):
        load_detector(weights)


NEW = ("roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred")
MASKS = ("roi_heads.mask_predictor.conv5_mask", "roi_heads.mask_predictor.mask_fcn_logits")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector's file, as a run of ``tiny_recipe`` leaves it."""
    path = tmp_path_factory.mktemp("source") / "model.safetensors"
    with narrow_networks():
        detector = detector_on(small_classifier("resnet18"), **settings_of())
    save_detector(path, detector, {})
    return path


def settings_of(*settings: str) -> dict[str, object]:
    return vars(tiny_recipe(1, "joint", "masks=true", *settings).detector)


@pytest.mark.parametrize(
    ("settings", "new"),
    [
        ((), NEW),
        (("masks=true",), (*NEW, MASKS[1])),
        (("global_context=true",), NEW),
        (("batch_norm=trained",), NEW),
    ],
)
def test_a_detector_begins_with_all_of_another_but_the_layers_of_its_classes(
    source: Path, settings: tuple[str, ...], new: tuple[str, ...]
) -> None:
    recipe, classes = tiny_recipe(1, "joint", *settings), ("cup", "pan")
    with narrow_networks():
        made = initial_detector(recipe, classes, source, seed=1)
        again = initial_detector(recipe, classes, source, seed=1)
        other = initial_detector(recipe, classes, source, seed=2)
        theirs = load_detector(source)
    assert (made.source, made.new) == ("detector", new)
    ours = made.detector
    assert (ours.classes, ours.settings) == (classes, recipe.detector)
    assert torch.equal(ours.mean, theirs.mean)
    assert torch.equal(ours.std, theirs.std)
    tensors = theirs.state_dict()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, again.detector.state_dict()[name]), name
        if name.startswith(new):
            assert name.endswith("bias") or not tensor.equal(other.detector.state_dict()[name])
        elif not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, tensors[name]), name
    assert ours.roi_heads.box_predictor.cls_score.out_features == 3


def test_without_masks_in_the_source_their_whole_branch_is_new(tmp_path: Path) -> None:
    with narrow_networks():
        without = detector_on(small_classifier("resnet18"), **settings_of("masks=false"))
        save_detector(tmp_path / "without.safetensors", without, {})
        recipe = tiny_recipe(1, "joint", "masks=true")
        made = initial_detector(recipe, ("cup",), tmp_path / "without.safetensors", seed=0)
    assert made.new == (*NEW, *MASKS)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            tiny_recipe(1, "joint", "anchor_sizes=16,32,64", "anchor_ratios=0.5,1"),
            r"of other anchors than the recipe's; to start from it, add "
            r"--set anchor_sizes=16,32 --set anchor_ratios=0.5,1,2$",
        ),
        (tiny_recipe(1, "joint", "rpn_channels=8"), "add --set rpn_channels=16$"),
        (
            detection_recipe("folder", "resnet34", "joint"),
            "holds resnet18, but the recipe is for resnet34; give that network's weights",
        ),
    ],
)
def test_a_detector_of_another_form_is_refused_in_one_line(
    source: Path, recipe: DetectionRecipe, message: str
) -> None:
    with narrow_networks(), pytest.raises(UserError, match=message) as refused:
        initial_detector(recipe, ("cup",), source, seed=0)
    assert "\n" not in str(refused.value)
