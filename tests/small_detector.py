"""A detector that a test can afford, and images for it."""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from deepres.detection.faster_rcnn import Detector, create_detector
from deepres.models import Classifier, build_network
from deepres.models.blocks import BasicBlock
from deepres.models.resnet import ResNet
from deepres.recipes.detector import DetectorSettings

SETTINGS = DetectorSettings(
    short_side=64,
    long_side=112,
    anchor_sizes=(16, 32),
    rpn_channels=32,
    rpn_sampled=32,
    proposals_before_nms_train=100,
    proposals_before_nms_test=30,
    proposals_train=40,
    proposals_test=20,
    proposal_min_size=2.0,
    regions_sampled=16,
    score_threshold=0.0,
)
CLASSES = ("cat", "dog", "hen")


def lively(module: nn.Module) -> None:
    """Give BN statistics, and the last layers weights, as training might leave them."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d | FrozenBatchNorm2d):
            nn.init.uniform_(layer.weight, 0.3, 0.6)  # a sum of many branches stays near one
            nn.init.normal_(layer.bias, 0, 0.2)
            nn.init.normal_(layer.running_mean, 0, 0.2)
            nn.init.uniform_(layer.running_var, 0.5, 2)


def narrow_resnet() -> ResNet:
    """ResNet-18's form, with half the blocks and an eighth of the channels."""
    stem = [
        ("conv1", nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False)),
        ("bn1", nn.BatchNorm2d(8)),
        ("relu", nn.ReLU()),
        ("maxpool", nn.MaxPool2d(3, stride=2, padding=1)),
    ]
    return ResNet(stem, BasicBlock, (1, 1, 1, 1), (8, 16, 32, 64), "A", 5, input_size=224)


def small_classifier(name: str | None = None, **options: Any) -> Classifier:
    """A network by name, or ``narrow_resnet``, that wants its input prepared."""
    torch.manual_seed(0)
    network = build_network(name, num_classes=5, **options) if name else narrow_resnet()
    lively(network)
    std = torch.tensor([0.2, 0.3, 0.25])[:, None, None]
    mean = torch.rand(3, 64, 64)
    return Classifier(network, mean, tuple("abcde"), std=std).eval()


def small_detector(**changes: Any) -> Detector:
    """A detector that tells boxes and classes apart, if at random."""
    return detector_on(small_classifier(), **changes)


def detector_on(classifier: Classifier, **changes: Any) -> Detector:
    detector = create_detector(classifier, CLASSES, dataclasses.replace(SETTINGS, **changes))
    predictor = detector.roi_heads.box_predictor
    nn.init.normal_(predictor.cls_score.weight, std=0.1)
    nn.init.normal_(predictor.bbox_pred.weight, std=0.05)
    nn.init.normal_(detector.rpn.head.cls_logits.weight, std=0.2)
    nn.init.normal_(detector.rpn.head.bbox_pred.weight, std=0.05)
    return detector


def images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, *size, generator=generator) for size in ((50, 80), (96, 70))]


def targets() -> list[dict[str, Tensor]]:
    boxes = ([[5.0, 5, 35, 40]], [[3.0, 8, 40, 30], [20, 30, 60, 80]])
    masks = [torch.zeros(1, 50, 80), torch.zeros(2, 96, 70)]
    for of_image, outlines in zip(boxes, masks, strict=True):
        for (x1, y1, x2, y2), mask in zip(of_image, outlines, strict=True):
            mask[int(y1) : int(y2), int(x1) : int(x2) - 3] = 1
    labels = (torch.tensor([1]), torch.tensor([3, 2]))
    return [
        {"boxes": torch.tensor(b), "labels": label, "masks": m.to(torch.uint8)}
        for b, label, m in zip(boxes, labels, masks, strict=True)
    ]
