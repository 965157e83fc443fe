import dataclasses

import pytest
import torch
from small_detector import (
    CLASSES,
    SETTINGS,
    images,
    small_classifier,
    small_detector,
    targets,
)

from deepres.detection.faster_rcnn import PARTS, create_detector
from deepres.detection.inference import detect
from deepres.errors import UserError
from deepres.models import Classifier
from deepres.models.create import build_empty


@torch.inference_mode()
def test_input_is_prepared_as_the_weights_want_it() -> None:
    """The shared features are those that the classifier computes of the same image's bytes."""
    classifier = small_classifier()
    detector = create_detector(classifier, CLASSES, SETTINGS).eval()
    pixels = torch.randint(256, (1, 3, 64, 96), dtype=torch.uint8)
    _, stages, _ = classifier.network.intermediates(classifier.prepare(pixels))
    scaled, _ = detector.transform([pixels[0] / 255])
    torch.testing.assert_close(detector.features(scaled)["0"], stages["conv4_x"])


def test_a_network_by_name_starts_from_random_weights_and_imagenets_mean() -> None:
    detector = create_detector("resnet18", CLASSES, SETTINGS)
    torch.testing.assert_close(detector.mean, torch.tensor([0.485, 0.456, 0.406]))
    assert detector.std.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("settings", "shared"),
    [({}, ("layer2", "layer3")), ({"frozen_stages": 0}, ("conv1", "layer1", "layer2", "layer3"))],
)
def test_what_is_trained(settings: dict[str, int], shared: tuple[str, ...]) -> None:
    """BN is fixed, and so are the first two stages, and the parts that are not asked for."""
    detector = small_detector(**settings)
    detector.train()
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    sum(detector(images(), targets()).values()).backward()
    trained = {name: p for name, p in detector.named_parameters() if p.requires_grad}
    assert all(parameter.grad is not None for parameter in trained.values())
    torch.optim.SGD(trained.values(), lr=0.1).step()
    changed = {
        name for name, tensor in detector.state_dict().items() if not tensor.equal(before[name])
    }
    assert changed == trained.keys()
    tops = {name.split(".")[1] for name in changed if name.startswith("backbone.")}
    assert tops == set(shared)
    assert not any(".bn" in name for name in changed)

    for part, name in PARTS.items():
        detector.train_parts(part)
        own = {n for n in trained if n.startswith(f"{name}.")}
        assert {n for n, p in detector.named_parameters() if p.requires_grad} == own


def test_trained_bn_is_that_of_the_stages_that_are_trained() -> None:
    detector = small_detector(batch_norm="trained").train()
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    detector(images(), targets())
    changed = {n for n, tensor in detector.state_dict().items() if not tensor.equal(before[n])}
    stages = {name.rsplit(".", 3)[0] for name in changed}
    assert stages == {"backbone.layer2", "backbone.layer3", "roi_heads.box_head.layer4"}


def test_bn_of_parts_that_are_not_trained_stays_as_it_is() -> None:
    """The third and fourth of the alternating steps leave the shared layers alone."""
    detector = small_detector(batch_norm="trained").train()
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    proposals = detector.eval().propose(images(), for_training=True)
    detector.train_parts("rpn")
    detector.train().rpn_losses(images(), targets())
    detector.train_parts("region")
    detector.region_losses(images(), targets(), proposals)
    changed = {n for n, tensor in detector.state_dict().items() if not tensor.equal(before[n])}
    assert changed
    assert all(name.startswith("roi_heads.box_head.layer4") for name in changed)


@torch.inference_mode()
def test_frozen_bn_detects_as_bn_does_in_evaluation() -> None:
    frozen, trained = small_detector(), small_detector(batch_norm="trained")
    trained.load_state_dict(frozen.state_dict(), strict=False)  # but the counts of batches
    torch.testing.assert_close(frozen.eval()(images()), trained.eval()(images()))


def test_the_parts_losses_are_those_of_the_whole() -> None:
    """On the proposals that training makes; all anchors and regions are sampled, none at random."""
    detector = small_detector(rpn_sampled=10_000, regions_sampled=10_000).train()
    both = detector(images(), targets())
    proposals = detector.eval().propose(images(), for_training=True)
    assert all(len(boxes) > SETTINGS.proposals_before_nms_test for boxes in proposals)
    detector.train()
    parts = detector.rpn_losses(images(), targets())
    assert parts.keys() == {"loss_objectness", "loss_rpn_box_reg"}
    parts |= detector.region_losses(images(), targets(), proposals)
    torch.testing.assert_close(parts, {name: both[name] for name in parts})
    assert parts.keys() == both.keys()


def test_images_without_objects_are_background() -> None:
    detector = small_detector(masks=True).train()
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    empty = [nothing | {"masks": torch.zeros(0, *i.shape[1:], dtype=torch.uint8)} for i in images()]
    losses = detector(images(), empty)
    sum(losses.values()).backward()
    assert {name for name, loss in losses.items() if loss > 0} == {
        *("loss_classifier", "loss_objectness")
    }


@torch.inference_mode()
def test_boxes_are_in_each_images_own_pixels() -> None:
    """Of an image with each pixel doubled the detector sees the same, scaled down."""
    detector = small_detector(short_side=48, long_side=80).eval()
    image = torch.rand(3, 48, 80)
    doubled = image.repeat_interleave(2, 1).repeat_interleave(2, 2)
    (found,), (found_doubled,) = detector([image]), detector([doubled])
    assert found["boxes"][:, 2].max() <= 80
    torch.testing.assert_close(found_doubled["boxes"], 2 * found["boxes"])


@pytest.mark.parametrize("size", [(2, 700), (700, 2), (1, 1)])
def test_pictures_of_any_shape_are_looked_at(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    detector, (height, width) = small_detector(masks=True), size
    image = torch.rand(3, height, width)
    box = torch.tensor([[0.0, 0, width, height]])
    mask = torch.ones(1, height, width, dtype=torch.uint8)
    target = {"boxes": box, "labels": torch.tensor([1]), "masks": mask}
    losses = detector.train()([image], [target])
    assert all(loss.isfinite() for loss in losses.values())
    (found,) = detector.eval()([image])
    (seen,) = detect([detector], [image])
    assert seen.boxes.isfinite().all()
    assert (found["boxes"] <= box.view(2, 2)[1].repeat(2)).all()
    assert found["masks"].shape[1:] == (1, height, width)


def test_a_detector_without_classes_is_refused() -> None:
    with pytest.raises(UserError, match="at least one class"):
        create_detector("resnet18", ())


def test_masks_need_a_map_for_each_region() -> None:
    classifier = Classifier(build_empty("vgg16"), torch.zeros(3, 1, 1), ("a",))
    with pytest.raises(UserError, match="conv5_x"):
        create_detector(classifier, CLASSES, dataclasses.replace(SETTINGS, masks=True))
