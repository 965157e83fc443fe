from pathlib import Path

import pytest
import torch
from small_detection import narrow_networks, tiny_recipe
from small_detector import detector_on, small_classifier

from deepres.detection.beginning import initial_detector, left_unscaled
from deepres.detection.weights import load_detector, save_detector
from deepres.errors import UserError
from deepres.recipes import DetectionRecipe, detection_recipe

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


def test_sizes_that_were_left_at_the_papers_scale_are_told() -> None:
    paper = detection_recipe("voc07+12", "resnet18")
    assert left_unscaled(paper) == ""
    smaller = paper.changed(["short_side=300"])
    assert left_unscaled(smaller) == (
        "anchor_sizes and proposal_min_size: still as for short_side=600; in proportion to "
        "short_side=300 would be --set anchor_sizes=64,128,256 --set proposal_min_size=8"
    )
    anchors = smaller.changed(["anchor_sizes=64,128,256"])
    assert left_unscaled(anchors).endswith("would be --set proposal_min_size=8")
    assert left_unscaled(anchors.changed(["proposal_min_size=8"])) == ""


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
            r"made otherwise than the recipe's; to start from it, add "
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
