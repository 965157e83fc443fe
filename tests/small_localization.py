"""Pictures with one bright rectangle each, in Tiny-ImageNet's and in ImageNet's layout."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from annotated_pictures import Corners, voc_xml
from PIL import Image

from deepres.models.classifier import Classifier
from deepres.models.create import build_network
from deepres.models.weights import save_weights
from deepres.recipes.localization import LocalizationRecipe, localization_recipe
from deepres.recipes.localization_rcnn import LocalizationRCNNRecipe, localization_rcnn_recipe

SETTINGS = [
    *("crop=28", "short_side=32,36", "anchor_sizes=8,16", "batch_size=4", "eval_images=3"),
    "lr=0.02",
]
RCNN_SETTINGS = [
    *("crop=28", "context=2", "batch_size=4", "eval_images=3", "proposals=20"),
    "foreground_fraction=0.5",
]


def rectangle(box: Corners, side: int = 64) -> Image.Image:
    """Black, but white from the first to the last pixel of ``box``."""
    pixels = np.zeros((side, side, 3), np.uint8)
    x1, y1, x2, y2 = map(int, box)
    pixels[y1 : y2 + 1, x1 : x2 + 1] = 255
    return Image.fromarray(pixels)


def tiny_imagenet(
    folder: Path, train: Mapping[str, list[Corners]], val: list[tuple[str, Corners]]
) -> Path:
    """Make Tiny-ImageNet's layout of boxes by class, and of classes and boxes for validation."""
    for wnid, boxes in train.items():
        images = folder / "train" / wnid / "images"
        images.mkdir(parents=True)
        lines = []
        for i, box in enumerate(boxes):
            rectangle(box).save(images / f"{wnid}_{i}.JPEG", quality=95)
            lines.append("\t".join([f"{wnid}_{i}.JPEG", *(f"{side:g}" for side in box)]) + "\n")
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("".join(lines))
    (folder / "val/images").mkdir(parents=True)
    lines = []
    for i, (wnid, box) in enumerate(val):
        rectangle(box).save(folder / f"val/images/val_{i}.JPEG", quality=95)
        lines.append("\t".join([f"val_{i}.JPEG", wnid, *(f"{side:g}" for side in box)]) + "\n")
    (folder / "val/val_annotations.txt").write_text("".join(lines))
    return folder


def two_classes(folder: Path) -> Path:
    """Tiny-ImageNet with 8 images of two classes to train on, and 5 to test on."""
    wide = [(4.0 + 3 * i, 10.0, 43.0 + 3 * i, 29.0) for i in range(4)]
    high = [(20.0, 3.0 + 4 * i, 39.0, 42.0 + 4 * i) for i in range(4)]
    tested = [("n01", wide[0]), ("n02", high[1]), ("n01", wide[3]), ("n02", high[3])]
    return tiny_imagenet(folder, {"n01": wide, "n02": high}, [*tested, ("n01", wide[1])])


def imagenet(
    folder: Path,
    annotated: Mapping[str, tuple[tuple[int, int], list[tuple[str, Corners]]] | None],
) -> Path:
    """Make ImageNet's layout: a size and objects by image, as train/n01/n01_1; None: no XML."""
    for name, annotation in annotated.items():
        part, wnid, stem = name.split("/")
        picture = folder / part / wnid / f"{stem}.JPEG"
        picture.parent.mkdir(parents=True, exist_ok=True)
        rectangle((0, 0, 1, 1), 8).save(picture)
        boxes = folder / f"ILSVRC2012_bbox_{part}" / (wnid if part == "train" else "")
        boxes.mkdir(parents=True, exist_ok=True)
        if annotation:
            (boxes / f"{stem}.xml").write_text(voc_xml(*annotation[0], annotation[1]))
    return folder


def tiny_recipe(steps: int, *settings: str, model: str = "resnet8") -> LocalizationRecipe:
    return localization_recipe(model).scaled_to(steps).changed([*SETTINGS, *settings])


def tiny_weights(
    path: Path, classes: tuple[str, ...] = ("n01", "n02"), model: str = "resnet8"
) -> Path:
    """Weights of a small classifier, as they are drawn."""
    torch.manual_seed(0)
    network = build_network(model, num_classes=len(classes))
    mean = torch.full((3, 28, 28), 0.25)
    save_weights(path, Classifier(network, mean, classes, crop=28, short_side=32), {})
    return path


def tiny_rcnn_recipe(steps: int, *settings: str, model: str = "resnet8") -> LocalizationRCNNRecipe:
    recipe = localization_rcnn_recipe(model).scaled_to(steps)
    return recipe.changed([*RCNN_SETTINGS, *settings])
