from pathlib import Path

import pytest
import torch
from runs import on_cpu
from small_localization import tiny_imagenet, tiny_rcnn_recipe

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import open_localization_data
from deepres.data.detection.localization_regions import RegionBatches, RegionPool, RegionStream
from deepres.data.detection.warped_regions import Proposals, Warp
from deepres.data.images import BadImage
from deepres.errors import UserError

WARP = Warp(28, 2, (0, 0, 0))
RECIPE = tiny_rcnn_recipe(4, "batch_size=8", "foreground_fraction=0.25")


@pytest.fixture
def images(tmp_path: Path) -> BoxedImages:
    """Of two classes, 64 pixels wide, with boxes of 16 to 48 and of 0 to 32 pixels each way."""
    boxes = [(16.0, 16.0, 47.0, 47.0), (0.0, 0.0, 31.0, 31.0)]
    folder = tiny_imagenet(tmp_path, {"n01": boxes[:1], "n02": boxes[1:]}, [("n01", boxes[0])])
    return BoxedImages.of(open_localization_data(folder).train)


@pytest.fixture
def pool(images: BoxedImages) -> RegionPool:
    """Two proposals on the first image, one on the second; the first of each is on the object."""
    boxes = torch.zeros(2, 1, 2, 4)
    boxes[0, 0] = torch.tensor([[16.0, 16, 48, 32], [0, 0, 20, 20]])  # overlaps of 1/2 and 16/1408
    boxes[1, 0, 0] = torch.tensor([0.0, 0, 32, 40])
    return RegionPool.of(images, Proposals(boxes, torch.tensor([[2], [1]])), 0.5)


def test_regions_are_objects_from_an_overlap_of_a_half_on(pool: RegionPool) -> None:
    assert pool.image.tolist() == [0, 0, 1]
    assert pool.objects.tolist() == [0, 2]
    assert pool.background.tolist() == [1]
    torch.testing.assert_close(pool.boxes[2], torch.tensor([0, 0, 0.5, 0.625]))


def test_there_must_be_objects_and_background(images: BoxedImages) -> None:
    for box, what in (((0.0, 0, 1, 1), "an object"), ((16.0, 16, 48, 48), "background")):
        boxes = torch.tensor(box).repeat(2, 1, 1, 1)
        if what == "background":
            boxes[1] = torch.tensor([0.0, 0, 32, 32])
        proposals = Proposals(boxes, torch.ones(2, 1, dtype=torch.int64))
        with pytest.raises(UserError, match=f"the 2 regions that the RPN proposes none is {what}"):
            RegionPool.of(images, proposals, 0.5)


def test_a_quarter_of_a_batch_are_objects_of_any_image(pool: RegionPool) -> None:
    stream = RegionStream(pool, RECIPE, WARP, 0, slice(0, 8))
    batches = [stream[step] for step in range(20)]
    assert all(batch.labels.tolist() == [1, 1, *6 * [0]] for batch in batches)
    assert {*torch.cat([batch.classes[:2] for batch in batches]).tolist()} == {0, 1}
    assert {*torch.cat([batch.classes[2:] for batch in batches]).tolist()} == {0}


def test_a_batch_is_a_function_of_seed_and_step_and_processes_share_it(pool: RegionPool) -> None:
    whole = RegionStream(pool, RECIPE, WARP, 0, slice(0, 8))
    halves = [RegionStream(pool, RECIPE, WARP, 0, half) for half in (slice(0, 4), slice(4, 8))]
    for step in (3, 0):
        parts = [half[step] for half in halves]
        for column, shares in zip(whole[step], zip(*parts, strict=True), strict=True):
            assert torch.equal(column, torch.cat(list(shares)))
    other = RegionStream(pool, RECIPE, WARP, 1, slice(0, 8))
    assert any(not torch.equal(other[step].boxes, whole[step].boxes) for step in range(3))
    # A literal: a change here would make every earlier run impossible to repeat.
    regions, mirrored = whole.draw(3)
    assert regions.tolist() == [0, 2, 1, 1, 1, 1, 1, 1]
    assert mirrored.long().tolist() == [1, 1, 1, 0, 0, 0, 0, 0]


def test_what_is_mirrored_has_its_boxes_mirrored(pool: RegionPool) -> None:
    """The white rectangle lies in the same place of the square as its box says."""
    stream = RegionStream(pool, RECIPE, WARP, 0, slice(0, 8))
    seen = set()
    for step in range(4):
        regions, mirrored = stream.draw(step)
        batch = stream[step]
        for k in range(2):
            own = pool.boxes[regions[k]]
            x1, y1, x2, y2 = own.tolist()
            expected = [1 - x2, y1, 1 - x1, y2] if mirrored[k] else [x1, y1, x2, y2]
            torch.testing.assert_close(batch.boxes[k], torch.tensor(expected))
            seen.add((batch.classes[k].item(), mirrored[k].item()))
            if batch.classes[k] == 1:  # the whole left half of its image is the object
                matched = torch.tensor([0.5, 0, 1, 0.5] if mirrored[k] else [0, 0, 0.5, 0.5])
                torch.testing.assert_close(batch.matched[k], matched)
    assert len(seen) == 4
    still = RegionStream(pool, RECIPE.changed(["flip=false"]), WARP, 0, slice(0, 8))
    assert not still.draw(0)[1].any()


def test_batches_are_prepared_and_bad_files_named(pool: RegionPool, images: BoxedImages) -> None:
    mean, std = torch.full((3, 1, 1), 0.25), torch.full((3, 1, 1), 0.5)
    batches = RegionBatches(pool, RECIPE, WARP, mean, std, 0, on_cpu(workers=0))
    raw = RegionStream(pool, RECIPE, WARP, 0, slice(0, 8))[0].images
    expected = (raw.permute(0, 3, 1, 2) / 255 - 0.25) / 0.5
    torch.testing.assert_close(batches(0).images, expected)
    images.paths[0].unlink()
    with pytest.raises(BadImage, match=r"n01_0.JPEG: no such file"):
        batches(0)
    batches.close()
