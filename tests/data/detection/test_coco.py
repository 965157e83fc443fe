import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotated_pictures import coco_folder

from deepres.data.detection.splits import open_detection_set
from deepres.errors import UserError

CATEGORIES = {90: "toothbrush", 1: "person", 18: "dog"}
TRIANGLE = [[10.0, 10.0, 20.0, 10.0, 10.0, 20.0]]


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Three images, one of them without objects."""
    brush = {"category_id": 90, "bbox": [10, 20, 30, 5.5], "segmentation": TRIANGLE}
    crowd = {
        **{"category_id": 1, "bbox": [0, 0, 60, 40], "iscrowd": 1},
        "segmentation": {"size": [40, 60], "counts": [0, 2400]},
    }
    dog = {"category_id": 18, "bbox": [1, 2, 3, 4], "segmentation": TRIANGLE}
    return coco_folder(tmp_path, "val2017", {139: [brush, crowd], 42: [], 7: [dog]}, CATEGORIES)


def test_boxes_labels_and_crowds(coco: Path) -> None:
    data = open_detection_set("coco2017-val", coco)
    assert data.name == "COCO 2017 val"
    assert data.classes == ("person", "dog", "toothbrush")
    assert [image.id for image in data.images] == ["139", "42", "7"]
    first, empty, last = (image.objects for image in data.images)
    assert first.boxes.tolist() == [[10, 20, 40, 25.5], [0, 0, 60, 40]]
    assert first.labels.tolist() == [3, 1]
    assert first.ignored.tolist() == [False, True]
    assert first.segmentations is not None
    assert first.segmentations[0] == TRIANGLE
    assert empty.boxes.shape == (0, 4)
    assert last.labels.tolist() == [2]
    assert data.annotations == coco / "annotations/instances_val2017.json"


def test_a_set_of_ones_own_needs_no_outlines(tmp_path: Path) -> None:
    images = {1: [{"category_id": 3, "bbox": [0, 0, 5, 5], "segmentation": []}]}
    data = open_detection_set("mine", coco_folder(tmp_path, "mine", images, {3: "a"}))
    assert data.images[0].objects.segmentations is None
    assert data.name == f"{tmp_path.name} mine"


def rewrite(coco: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = coco / "annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), r"not in COCO's format \(KeyError: 'images'\)"),
        (lambda c: c["annotations"][0].pop("bbox"), r"101: without a box of 4 numbers \(None\)"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2]), r"101: without a box .* \(\[1, 2\]\)"),
        (lambda c: c["annotations"].append([]), "not in COCO's format"),
        (lambda c: c.update(annotations=None), "not in COCO's format"),
        (lambda c: c["annotations"][0].update(image_id=6), r"101: of an image not listed \(6\)"),
        (lambda c: c["images"][0].update(width="wide"), "not in COCO's format"),
        (lambda c: c["images"].clear() or c["annotations"].clear(), "lists no images"),
        (
            lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]),
            r"101: with an impossible outline \(a polygon of 4 coordinates\)",
        ),
        (
            lambda c: c["annotations"][1]["segmentation"].update(size=[60, 40]),
            r"102: with an impossible outline \(run lengths for \[60, 40\] in 40×60\)",
        ),
    ],
)
def test_what_is_malformed_is_named(
    coco: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    rewrite(coco, change)
    with pytest.raises(UserError, match=message):
        open_detection_set("coco2017-val", coco)


def test_missing_files_are_named(coco: Path) -> None:
    (coco / "val2017/000000000042.jpg").unlink()
    with pytest.raises(UserError, match=r"1 file is missing: \S+val2017/000000000042\.jpg"):
        open_detection_set("coco2017-val", coco)
    with pytest.raises(UserError, match=r"cannot read \S+instances_train2017\.json"):
        open_detection_set("coco2017-train", coco)


def test_the_real_sample_is_read_whole(coco_sample: Path) -> None:
    train = open_detection_set("coco2017-train", coco_sample)
    val = open_detection_set("coco2017-val", coco_sample)
    for data, objects, crowds in ((train, 746, 6), (val, 712, 5)):
        assert (len(data), len(data.classes)) == (100, 80)
        assert sum(len(image.objects.boxes) for image in data.images) == objects
        assert sum(int(image.objects.ignored.sum()) for image in data.images) == crowds
        assert max(int(label) for i in data.images for label in i.objects.labels) <= 80
    assert (train.classes[0], train.classes[79]) == ("person", "toothbrush")
