import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from annotated_pictures import coco_folder, coco_test_dev

from deepres.data.detection.splits import official_split, open_detection_set
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
    assert data.annotations == (coco / "annotations/instances_val2017.json",)


def test_a_set_of_ones_own_needs_no_outlines(tmp_path: Path) -> None:
    images = {1: [{"category_id": 3, "bbox": [0, 0, 5, 5], "segmentation": []}]}
    data = open_detection_set("mine", coco_folder(tmp_path, "mine", images, {3: "a"}))
    assert data.images[0].objects.segmentations is None
    assert data.name == f"{tmp_path.name} mine"


def test_trainval_is_train_and_val(tmp_path: Path) -> None:
    dog = {"category_id": 18, "bbox": [1, 2, 3, 4], "segmentation": TRIANGLE}
    coco_folder(tmp_path, "train2014", {9: [dog], 8: []}, CATEGORIES)
    coco_folder(tmp_path, "val2014", {3: [dog, dog]}, CATEGORIES)
    data = open_detection_set("coco2014-trainval", tmp_path)
    assert (data.name, data.classes) == ("COCO 2014 trainval", ("person", "dog", "toothbrush"))
    assert [image.id for image in data.images] == ["9", "8", "3"]
    assert [image.path.parent.name for image in data.images] == [*2 * ["train2014"], "val2014"]
    assert [len(image.objects.boxes) for image in data.images] == [1, 0, 2]
    assert len(data.annotations) == 2

    coco_folder(tmp_path, "val2014", {3: [dog], 9: []}, CATEGORIES)
    with pytest.raises(UserError, match=r"id '9' twice: \S+train2014.json and \S+val2014.json"):
        open_detection_set("coco2014-trainval", tmp_path)
    coco_folder(tmp_path, "val2014", {3: [dog]}, {**CATEGORIES, 2: "bicycle"})
    with pytest.raises(UserError, match=r"val2014\.json have other categories"):
        open_detection_set("coco2014-trainval", tmp_path)


def test_of_test_dev_the_images_alone_are_known(tmp_path: Path) -> None:
    coco_test_dev(tmp_path, [5, 1], CATEGORIES)
    for name in ("coco-test-dev", "coco2015-test-dev"):
        data = open_detection_set(name, tmp_path)
        assert (data.name, data.annotated) == ("COCO 2015 test-dev", False)
        assert data.classes == ("person", "dog", "toothbrush")
        assert [image.id for image in data.images] == ["5", "1"]
        assert data.images[0].path == tmp_path / "test2015/000000000005.jpg"
        assert (data.images[0].width, data.images[0].height) == (60, 40)
    with pytest.raises(UserError, match=r"cannot read \S+image_info_test-dev2017\.json"):
        open_detection_set("coco2017-test-dev", tmp_path)
    (tmp_path / "annotations/image_info_test-dev2015.json").write_text("{}")
    with pytest.raises(UserError, match=r"image_info_<set>\.json was expected"):
        open_detection_set("coco-test-dev", tmp_path)


def test_a_set_of_ones_own_may_be_called_dev(tmp_path: Path) -> None:
    assert len(open_detection_set("a-dev", coco_folder(tmp_path, "a-dev", {1: []}, {3: "a"}))) == 1


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("coco2014-val", "val2014"),
        ("coco-test-dev", "test-dev2015"),
        ("coco2017-test-dev", "test-dev2017"),
        ("voc2012-test", "test"),
        ("imagenet-det-val2", "val2"),
        ("test", "test"),
    ],
)
def test_result_files_are_named_as_the_benchmarks_name_their_sets(name: str, split: str) -> None:
    assert official_split(name) == split


def rewrite(coco: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = coco / "annotations/instances_val2017.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "not in COCO's format: images is missing;"),
        (lambda c: c["annotations"][0].pop("bbox"), r"101: without a box of 4 numbers \(None\)"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2]), r"101: without a box .* \(\[1, 2\]\)"),
        (
            lambda c: c["annotations"].insert(2, [1]),
            r"object in place 3: not written as an object \(\[1\]\)",
        ),
        (lambda c: c["annotations"].append(None), r"not written as an object \(null\)"),
        (lambda c: c.update(annotations=None), "annotations is null, expected a list; instances"),
        (lambda c: c.update(categories={}), "categories is an object, expected a list"),
        (lambda c: c["images"].append([]), "entry 4 of images is a list, expected an object"),
        (lambda c: c["images"][1].pop("width"), "entry 2 of images has no width"),
        (lambda c: c["categories"][0].pop("name"), "entry 1 of categories has no name"),
        (lambda c: c["annotations"][0].update(image_id=6), r"101: of an image not listed \(6\)"),
        (lambda c: c["images"][0].update(width="wide"), r"image \d+ is of 'wide' × \d+ pixels"),
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


def test_a_link_to_what_is_not_there_is_named(coco: Path) -> None:
    file = coco / "annotations/instances_mine.json"
    file.symlink_to(coco / "unplugged")
    with pytest.raises(UserError, match=r"instances_mine\.json: No such file"):
        open_detection_set("mine", coco)


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
