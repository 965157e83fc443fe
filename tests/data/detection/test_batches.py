import re
from pathlib import Path

import pytest
import torch
from annotated_pictures import coco_folder, voc_folder, voc_xml
from runs import on_cpu

from deepres.data.detection.batches import DetectionBatches, mirrored
from deepres.data.detection.loading import image_tensor, target
from deepres.data.detection.records import DetectionSet
from deepres.data.detection.splits import open_detection_set
from deepres.distributed import World
from deepres.errors import UserError


@pytest.fixture
def data(tmp_path: Path) -> DetectionSet:
    """Seven images; on the last there is nothing, on the one before only a difficult object."""
    images = {
        f"im{i}": voc_xml(60, 40, [("cat", (2 + i, 3, 20 + i, 30))], difficult=[0] * (i == 5))
        for i in range(6)
    }
    voc_folder(tmp_path, {"trainval": {**images, "im6": voc_xml(60, 40, [])}})
    return open_detection_set("trainval", tmp_path)


def batches(data: DetectionSet, **options) -> DetectionBatches:
    own = {key: options.pop(key) for key in ("workers", "world") if key in options}
    here = on_cpu(**{"workers": 0, **own})
    usual = {"batch_size": 4, "flip": True, "masks": False, "steps": 5, "seed": 1}
    return DetectionBatches(data, **{**usual, **options}, execution=here)


def test_each_image_with_objects_comes_once_an_epoch(data: DetectionSet) -> None:
    drawn = batches(data, batch_size=1, flip=False)
    expected = {float(data.images[i].objects.boxes[0, 0]) for i in range(5)}
    for epoch in (0, 1):
        found = [
            drawn(step)[1][0]["boxes"][0, 0].item() for step in range(5 * epoch, 5 * epoch + 5)
        ]
        assert len(found) == 5
        assert set(found) == expected


def test_a_batch_is_its_images_some_of_them_mirrored(data: DetectionSet) -> None:
    by_left = {}
    for image in data.images[:5]:
        whole = target(image)
        left = whole["boxes"][0, 0].item()
        by_left[left, False] = image_tensor(image), whole["boxes"]
        x1, y1, x2, y2 = whole["boxes"][0].tolist()
        other = torch.tensor([[60 - x2, y1, 60 - x1, y2]])
        by_left[60 - x2, True] = image_tensor(image).flip(2), other
    assert len({left for left, _ in by_left}) == 10
    flips = []
    for step in range(5):
        for image, wanted in zip(*batches(data)(step), strict=True):
            left = wanted["boxes"][0, 0].item()
            flip = (left, True) in by_left
            flips.append(flip)
            pixels, boxes = by_left[left, flip]
            assert torch.equal(image, pixels)
            assert torch.equal(wanted["boxes"], boxes)
    assert set(flips) == {True, False}


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one[0], other[0], strict=True)) and all(
        torch.equal(a["boxes"], b["boxes"]) for a, b in zip(one[1], other[1], strict=True)
    )


def test_batches_are_a_function_of_seed_and_step(data: DetectionSet) -> None:
    in_order, out_of_order = batches(data), batches(data)
    first = [in_order(step) for step in range(5)]
    assert same(out_of_order(3), first[3])
    assert same(out_of_order(1), first[1])
    assert not all(same(batches(data, seed=2)(step), first[step]) for step in range(5))


def test_workers_make_no_difference(data: DetectionSet) -> None:
    by_workers = batches(data, workers=2)
    for step in (2, 3):
        assert same(by_workers(step), batches(data)(step))


def test_processes_share_a_batch(data: DetectionSet) -> None:
    whole = batches(data)(2)
    halves = [batches(data, world=World(rank, 2))(2) for rank in (0, 1)]
    assert same(whole, [halves[0][i] + halves[1][i] for i in (0, 1)])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named_in_a_line(data: DetectionSet, workers: int) -> None:
    for image in data.images:
        image.path.write_bytes(image.path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"^[^\n]*im\d.jpg: damaged or unreadable[^\n]*$"):
        batches(data, workers=workers)(0)


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    voc_folder(tmp_path, {"train": {"a": voc_xml(60, 40, [("cat", (1, 1, 9, 9))], difficult=[0])}})
    with pytest.raises(UserError, match="has no objects to learn from"):
        batches(open_detection_set("train", tmp_path))


def test_masks_without_outlines_are_refused_at_once(data: DetectionSet) -> None:
    first = re.escape(str(data.images[0].path))
    with pytest.raises(UserError, match=rf"6 of 7 images have .*; the first: {first}\. "):
        batches(data, masks=True)


def test_masks_are_mirrored_with_their_boxes(tmp_path: Path) -> None:
    outline = [[10, 5, 30, 5, 30, 20, 10, 20]]
    objects = [{"bbox": [10, 5, 20, 15], "category_id": 1, "segmentation": outline}]
    coco_folder(tmp_path, "train", {1: objects}, {1: "cat"})
    image = open_detection_set("train", tmp_path).images[0]
    wanted = mirrored(target(image, masks=True), image.width)
    assert wanted["boxes"].tolist() == [[30, 5, 50, 20]]
    rows, columns = wanted["masks"][0].nonzero().unbind(1)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (30, 5, 50, 20)
