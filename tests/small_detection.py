"""A detector's run that a test can afford."""

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from annotated_pictures import voc_folder, voc_xml
from torch import nn

from deepres.data.detection.records import DetectionSet
from deepres.data.detection.splits import open_detection_set
from deepres.models import create, vgg
from deepres.models.blocks import Bottleneck
from deepres.models.resnet import IMAGENET, ResNet
from deepres.models.vgg import VGG
from deepres.recipes import DetectionRecipe, detection_recipe

TINY = [
    *("short_side=48", "long_side=80", "anchor_sizes=16,32", "rpn_channels=16", "rpn_sampled=16"),
    *("proposals_train=20", "proposals_test=5", "proposal_min_size=2", "regions_sampled=8"),
    *("detections=5", "score_threshold=0", "batch_size=2", "rpn_batch_size=2"),
]


def tiny_recipe(steps: int = 8, schedule: str = "4-step", *settings: str) -> DetectionRecipe:
    recipe = detection_recipe("folder", "resnet18", schedule).scaled_to(steps)
    return dataclasses.replace(recipe, log_every=3, eval_every=2).changed([*TINY, *settings])


def tiny_voc(folder: Path, images: int = 4) -> Path:
    """A folder in VOC's layout, with one list to train on and one to test on."""
    boxes = [("cat", (4 + 3 * i, 5, 40 + 3 * i, 34)) for i in range(images)]
    trained = {f"a{i}": voc_xml(60, 40, [box]) for i, box in enumerate(boxes)}
    tested = {f"b{i}": voc_xml(60, 40, [box]) for i, box in enumerate(boxes[:3])}
    return voc_folder(folder, {"trainval": trained, "test": tested})


def tiny_sets(folder: Path, images: int = 4) -> tuple[DetectionSet, DetectionSet]:
    made = tiny_voc(folder, images)
    return open_detection_set("trainval", made), open_detection_set("test", made)


@contextmanager
def narrow_networks() -> Iterator[None]:
    """Make ``build_network`` build ImageNet's networks with few channels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(create, "imagenet_resnet", narrow_resnet)
        patch.setattr(vgg, "WIDTHS", (8, 8, 16, 16, 16))
        patch.setattr(create, "VGG", NarrowVGG)
        yield


def narrow_resnet(depth, shortcut, stride_on, pool, num_classes) -> ResNet:
    block, blocks = IMAGENET[depth]
    stem = [
        ("conv1", nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False)),
        ("bn1", nn.BatchNorm2d(8)),
        ("relu", nn.ReLU()),
        ("maxpool", nn.MaxPool2d(3, stride=2, padding=1)),
    ]
    options = {"stride_on": stride_on} if block is Bottleneck else {}
    return ResNet(stem, block, blocks, (8, 8, 16, 16), shortcut, num_classes, 224, **options)


class NarrowVGG(VGG):
    def __init__(self, depth: int, num_classes: int) -> None:
        with torch.device("meta"):  # the fully connected layers would take half a gigabyte
            super().__init__(depth, num_classes)
        widths = (16 * 7 * 7, 16, 16, num_classes)
        fc6, fc7, fc8 = (nn.Linear(*pair) for pair in itertools.pairwise(widths))
        dropout = nn.Dropout()
        self.classifier = nn.Sequential(fc6, nn.ReLU(), dropout, fc7, nn.ReLU(), dropout, fc8)
        self.to_empty(device="cpu")
