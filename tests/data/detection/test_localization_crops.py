from pathlib import Path

import pytest
import torch
from runs import on_cpu
from small_localization import imagenet, tiny_recipe, two_classes
from torch import Tensor

from deepres.data.crops import colour_shifts
from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import open_localization_data
from deepres.data.detection.localization_crops import (
    BoxedCrops,
    BoxedCropStream,
    CropBatches,
    boxes_in_crop,
)
from deepres.data.images import BadImage
from deepres.data.sampling import CropSampler
from deepres.distributed import ALONE, World

CPU = torch.device("cpu")


def shown(box: list[float], corner: tuple[int, int], mirror: bool = False) -> list[list[float]]:
    """What a crop of 40 pixels shows of a box in an image of 100×50."""
    found = boxes_in_crop(torch.tensor([box]), (100, 50), corner, 40, mirror)
    return [[round(side, 4) for side in each] for each in found.tolist()]


def test_boxes_are_scaled_shifted_and_cut_off() -> None:
    assert shown([0.2, 0.2, 0.4, 0.6], (10, 5)) == [[10, 5, 30, 25]]
    assert shown([0.2, 0.2, 0.4, 0.6], (25, 15)) == [[0, 0, 15, 15]]
    assert shown([0.0, 0.0, 1.0, 1.0], (10, 5)) == [[0, 0, 40, 40]]


def test_boxes_are_mirrored_with_the_crop() -> None:
    assert shown([0.2, 0.2, 0.3, 0.6], (10, 5), mirror=True) == [[20, 5, 30, 25]]


def test_objects_of_which_a_crop_shows_less_than_a_tenth_are_left_out() -> None:
    box = [0.2, 0.2, 0.4, 0.6]  # 20 pixels wide
    assert shown(box, (38, 5)) == [[0, 5, 2, 25]]
    assert shown(box, (39, 5)) == []
    assert shown(box, (60, 5)) == []


@pytest.fixture
def images(tmp_path: Path) -> BoxedImages:
    return BoxedImages.of(open_localization_data(two_classes(tmp_path)).train)


def extent(image: Tensor) -> Tensor:
    """The box of what is bright in a picture (H, W, 3) uint8."""
    bright = image[:, :, 0] > 127
    rows, columns = bright.any(1).nonzero()[:, 0], bright.any(0).nonzero()[:, 0]
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def test_boxes_go_with_the_pixels(images: BoxedImages) -> None:
    stream = BoxedCropStream(images, tiny_recipe(8), 0, slice(0, 4))
    for step in range(8):
        crops = stream[step]
        for pixels, boxes in zip(
            crops.images, crops.boxes.split(crops.counts.tolist()), strict=True
        ):
            (box,) = boxes
            assert (extent(pixels) - box).abs().max() <= 1.5
    assert crops.images.shape == (4, 28, 28, 3)


def test_a_crop_may_miss_its_object(tmp_path: Path) -> None:
    small = {"train/n01/n01_1": ((80, 80), [("n01", (0.0, 0.0, 7.0, 7.0))])}
    folder = imagenet(tmp_path, {**small, "val/n01/val_1": small["train/n01/n01_1"]})
    images = BoxedImages.of(open_localization_data(folder).train)
    counts = torch.cat(
        [BoxedCropStream(images, tiny_recipe(8), 0, slice(0, 4))[i].counts for i in range(8)]
    )
    assert set(counts.tolist()) == {0, 1}


def batches(images: BoxedImages, world: World = ALONE, workers: int = 0) -> CropBatches:
    mean, std = torch.full((3, 1, 1), 0.25), torch.full((3, 1, 1), 0.5)
    return CropBatches(images, tiny_recipe(6), mean, std, 3, on_cpu(workers=workers, world=world))


def same(one: BoxedCrops, other: BoxedCrops) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_batch_is_a_function_of_the_step(images: BoxedImages) -> None:
    in_order = batches(images, workers=1)
    expected = [in_order(step) for step in range(3)]
    for step in (2, 0, 1):
        assert same(batches(images)(step), expected[step])
    assert not same(expected[0], expected[1])


def test_processes_share_a_batch(images: BoxedImages) -> None:
    whole = batches(images)(1)
    parts = [batches(images, World(rank, 2))(1) for rank in range(2)]
    joined = BoxedCrops(*(torch.cat(both) for both in zip(*parts, strict=True)))
    assert same(joined, whole)


def test_crops_are_prepared(images: BoxedImages) -> None:
    raw = BoxedCropStream(images, tiny_recipe(6), 3, slice(0, 4))[0]
    draws = CropSampler(len(images), 4, (32, 36), True, 3).batch(0)
    torch.testing.assert_close(raw.shifts, colour_shifts(draws.colour, 0.1))
    shift = raw.shifts[:, :, None, None]
    expected = (raw.images.permute(0, 3, 1, 2) / 255 + shift - 0.25) / 0.5
    torch.testing.assert_close(batches(images)(0).images, expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_cannot_be_decoded_is_named(images: BoxedImages, workers: int) -> None:
    images.paths[3].write_bytes(b"no image")
    of_all = batches(images, workers=workers)
    with pytest.raises(BadImage, match=r"^\S*n01_3.JPEG: not an image that can be read$"):
        [of_all(step) for step in range(2)]  # an epoch
