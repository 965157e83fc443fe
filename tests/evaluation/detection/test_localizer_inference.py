from pathlib import Path

import pytest
import torch
from runs import NotingBar, on_cpu
from small_localization import tiny_imagenet
from torch import Tensor, nn

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import open_localization_test
from deepres.data.images import BadImage
from deepres.evaluation.detection.localizer_inference import locate, same_box

CPU = torch.device("cpu")


class BrightParts(nn.Module):
    """Finds the bright rectangle; for class 1 its left half."""

    crop, short_side = 56, 64

    def forward(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        boxes = torch.zeros(*classes.shape, 4)
        for i, image in enumerate(images):
            rows, columns = (image[0] > 127).nonzero(as_tuple=True)
            for k, c in enumerate(classes[i].tolist()):
                x1, x2 = columns.min(), columns.max() + 1
                right = (x1 + x2) / 2 if c else x2
                boxes[i, k] = torch.tensor([x1, rows.min(), right, rows.max() + 1])
        return boxes[:, :, None], torch.full((*classes.shape, 1), 0.5)


class FirstPixel(nn.Module):
    """Finds the first pixel, the surer the nearer to 96 the image's side is."""

    crop, short_side = 56, 64

    def forward(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        boxes = torch.tensor([0.0, 0, 1, 1]).expand(*classes.shape, 1, 4)
        return boxes, torch.full((*classes.shape, 1), 1 / (1 + abs(images.shape[-1] - 96)))


@pytest.fixture
def images(tmp_path: Path) -> BoxedImages:
    boxes = [(16.0, 8.0, 47.0, 39.0), (20.0, 24.0, 35.0, 55.0), (0.0, 0.0, 63.0, 31.0)]
    tested = [("n01", box) for box in boxes]
    folder = tiny_imagenet(tmp_path, {"n01": boxes[:1]}, tested)
    return BoxedImages.of(open_localization_test(folder))


def found(images: BoxedImages, views: str, workers: int = 0) -> Tensor:
    classes = torch.tensor([[0, 1]]).repeat(len(images), 1)
    bar = NotingBar()
    boxes = locate(BrightParts(), images, classes, views, on_cpu(workers=workers, progress=bar))
    assert bar.updates[-1] == len(images)
    return boxes


def test_boxes_are_found_for_each_class_on_the_whole_image(images: BoxedImages) -> None:
    expected = [
        [[16, 8, 48, 40], [16, 8, 32, 40]],
        [[20, 24, 36, 56], [20, 24, 28, 56]],
        [[0, 0, 64, 32], [0, 0, 32, 32]],
    ]
    assert found(images, "single-scale").tolist() == expected
    assert found(images, "single-scale", workers=1).tolist() == expected


def test_in_the_centre_they_have_their_place_in_the_image(images: BoxedImages) -> None:
    """Four pixels are cut off on each side."""
    assert found(images, "1-crop")[:, 0].tolist() == [
        [16, 8, 48, 40],
        [20, 24, 36, 56],
        [4, 4, 60, 32],
    ]


def test_of_several_scales_the_surest_box_is_taken(images: BoxedImages) -> None:
    """Of 56, 64, 96, 120 and 160 pixels for the image's 64."""
    classes = torch.zeros(3, 1, dtype=torch.int64)
    boxes = locate(FirstPixel(), images, classes, "multi-scale", on_cpu())
    torch.testing.assert_close(boxes, torch.tensor([0, 0, 64 / 96, 64 / 96]).expand(3, 1, 4))


def test_images_that_cannot_be_decoded_are_named(images: BoxedImages) -> None:
    images.paths[1].unlink()
    with pytest.raises(BadImage, match=r"val_1.JPEG: no such file"):
        found(images, "single-scale")


def test_one_box_for_all(images: BoxedImages) -> None:
    classes = torch.zeros(3, 2, dtype=torch.int64)
    boxes = same_box(images, classes, torch.tensor([0.0, 0.25, 1, 0.5]))
    assert boxes.shape == (3, 2, 4)
    assert boxes[1, 1].tolist() == [0, 16, 64, 32]
