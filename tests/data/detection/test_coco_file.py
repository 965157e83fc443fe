import json
from pathlib import Path
from typing import Any

import pytest
from annotated_pictures import coco_folder

from deepres.data.detection.checks import Faults
from deepres.data.detection.coco_file import read_coco_file
from deepres.data.detection.splits import open_detection_set
from deepres.errors import UserError

BOX = {"category_id": 7, "bbox": [10, 5, 20, 15]}
SQUARE = [[10, 5, 30, 5, 30, 20, 10, 20]]
CONTENT = "annotations/instances_mine.json"


def folder_of(tmp_path: Path, *changed: dict[str, Any], **content: Any) -> Path:
    """An image of 60 × 40 pixels with one good object, changed ones, and changes to the file."""
    folder = coco_folder(tmp_path, "mine", {1: [BOX] * (1 + len(changed))}, {7: "cat"})
    written = json.loads((folder / CONTENT).read_text())
    for annotation, each in zip(written["annotations"][1:], changed, strict=True):
        annotation |= each
    (folder / CONTENT).write_text(json.dumps({**written, **content}))
    return folder


def image(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "file_name": "000000000001.jpg", "width": 60, "height": 40, **changes}


@pytest.mark.parametrize(
    ("given", "kept"),
    [("img_1", "img_1"), ("1", "1"), (1.0, 1), (0, 0), (-3, -3), (10**20, 10**20)],
)
def test_ids_are_kept_as_they_are_but_whole_floats(tmp_path: Path, given: Any, kept: Any) -> None:
    listed = {"images": [image(id=given)], "categories": [{"id": given, "name": "cat"}]}
    found = {"id": given, "image_id": given, "category_id": given, "bbox": [10, 5, 20, 15]}
    folder = folder_of(tmp_path, **listed, annotations=[found])
    file = read_coco_file(folder / CONTENT, Faults())
    assert (file.categories, file.images[str(kept)].id) == ((kept,), kept)
    assert type(file.images[str(kept)].id) is type(kept)
    data = open_detection_set("mine", folder)
    assert data.images[0].id == str(kept)
    assert data.images[0].objects.labels.tolist() == [1]


def test_labels_count_categories_numbers_before_text(tmp_path: Path) -> None:
    ids = [10, "b", 9.0, "a", "10x"]
    categories = [{"id": each, "name": f"class {each}"} for each in ids]
    file = read_coco_file(
        folder_of(tmp_path, categories=categories, annotations=[]) / CONTENT, Faults()
    )
    assert file.categories == (9, 10, "10x", "a", "b")
    assert file.classes[0] == "class 9.0"


@pytest.mark.parametrize("wrong", [None, 1.5, True, [1], {}, float("nan"), float("inf")])
def test_what_can_be_no_id_is_one_line(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(UserError, match=r"mine\.json .*is no image's id"):
        open_detection_set("mine", folder_of(tmp_path / "a", images=[image(id=wrong)]))
    categories = [{"id": wrong, "name": "cat"}]
    with pytest.raises(UserError, match=r"mine\.json .*is no category's id"):
        open_detection_set("mine", folder_of(tmp_path / "b", categories=categories))
    with pytest.raises(UserError, match="object 102: of an image not listed"):
        open_detection_set("mine", folder_of(tmp_path / "c", {"image_id": wrong}))
    with pytest.raises(UserError, match="object 102: of unknown class"):
        open_detection_set("mine", folder_of(tmp_path / "d", {"category_id": wrong}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"categories": [{"id": 7, "name": "cat"}, {"id": "7", "name": "dog"}]},
            "has the category id '7' twice: cat and dog",
        ),
        (
            {"categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "cat"}]},
            "has the category 'cat' twice: id 7 and id 8",
        ),
        (
            {"images": [image(), image(id=1.0, file_name="b.jpg")]},
            r"has the image id '1' twice: 000000000001\.jpg and b\.jpg",
        ),
        (
            {"images": [image(), image(id=2)]},
            r"has the file '000000000001\.jpg' twice: id 1 and id 2",
        ),
        ({"categories": [{"id": 7, "name": None}]}, "None is no category's name"),
        ({"categories": [{"id": 7, "name": " "}]}, "' ' is no category's name"),
        ({"images": [image(file_name=None)]}, "None is no file name"),
        ({"images": [image(width=None)]}, "image 1 is of None × 40 pixels"),
        ({"images": [image(height=40.5)]}, "image 1 is of 60 × 40.5 pixels"),
        ({"images": [image(height=0)]}, "image 1 is of 60 × 0 pixels"),
    ],
)
def test_lists_that_contradict_themselves_are_one_line(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        open_detection_set("mine", folder_of(tmp_path, **content), "skip", lambda line: None)
    assert "instances_mine.json" in str(error.value)


def test_numbers_may_be_text(tmp_path: Path) -> None:
    changed = {
        "bbox": ["10", "5.0", 20, "15"],
        "segmentation": [[*map(str, SQUARE[0])]],
        "area": "250.5",
        "iscrowd": "1",
    }
    folder = folder_of(tmp_path, changed, images=[image(width="60", height=40.0)])
    (_, found) = read_coco_file(folder / CONTENT, Faults()).objects["1"]
    assert (found.bbox, found.outline) == ((10, 5, 20, 15), SQUARE)
    assert (found.area, found.crowd) == (250.5, True)


@pytest.mark.parametrize(
    ("given", "crowd"),
    [(0, False), ("0", False), (None, False), (False, False), (1, True), ("1", True), (True, True)],
)
def test_what_is_a_crowd(tmp_path: Path, given: Any, crowd: bool) -> None:
    data = open_detection_set("mine", folder_of(tmp_path, {"iscrowd": given}))
    assert data.images[0].objects.ignored.tolist() == [False, crowd]


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"iscrowd": 2}, r"with an iscrowd that is neither 0 nor 1 \(2\)"),
        ({"iscrowd": "no"}, r"with an iscrowd that is neither 0 nor 1 \('no'\)"),
        ({"iscrowd": [0]}, "with an iscrowd"),
        ({"area": "large"}, r"with an impossible area \('large'\)"),
        ({"area": -1}, r"with an impossible area \(-1\)"),
        ({"area": float("nan")}, "with an impossible area"),
        ({"area": True}, "with an impossible area"),
        ({"bbox": []}, r"without a box of 4 numbers \(\[\]\)"),
        ({"bbox": [1, 2, 3, 4, 5]}, r"without a box of 4 numbers \(\[1, 2, 3, 4, 5\]\)"),
        ({"bbox": None}, "without a box of 4 numbers"),
        ({"bbox": ["a", 5, 20, 15]}, "not numbers"),
        ({"bbox": [10**400, 5, 20, 15]}, "not numbers"),
        ({"segmentation": "all"}, "with an impossible outline"),
        ({"segmentation": SQUARE[0]}, "with an impossible outline"),
        ({"segmentation": [[10, 5, 90, 5, 30, 20]]}, "with an impossible outline"),
        ({"segmentation": {"size": [40, 60], "counts": "~"}}, "with an impossible outline"),
    ],
)
def test_objects_that_cannot_be_right_are_named_or_left_out(
    tmp_path: Path, changed: dict[str, Any], wrong: str
) -> None:
    folder = folder_of(tmp_path, changed)
    with pytest.raises(UserError, match=rf"instances_mine\.json, object 102: {wrong}"):
        open_detection_set("mine", folder)
    said: list[str] = []
    data = open_detection_set("mine", folder, "skip", said.append)
    assert data.images[0].objects.boxes.tolist() == [[10, 5, 30, 20]]
    assert (data.dropped, len(said)) == (1, 1)


def test_what_is_shown_of_a_file_is_short(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        open_detection_set("mine", folder_of(tmp_path, {"bbox": [7] * 10_000}))
    assert len(str(error.value)) < 400 + len(str(tmp_path))


def test_an_object_without_an_id_has_its_place(tmp_path: Path) -> None:
    annotations = [{"image_id": 1, "category_id": 8}]
    with pytest.raises(UserError, match="object in place 1: of unknown class"):
        open_detection_set("mine", folder_of(tmp_path, annotations=annotations))


def test_an_annotation_that_is_no_object_can_be_left_out(tmp_path: Path) -> None:
    good = {"id": 5, "image_id": 1, **BOX}
    folder, said = folder_of(tmp_path, annotations=[None, good, [good]]), list[str]()
    data = open_detection_set("mine", folder, "skip", said.append)
    assert (len(data.images[0].objects.boxes), data.dropped) == (1, 2)
    assert "2 objects not written as an object left out" in said[0]


def test_a_file_name_that_no_system_has_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 file is missing: \S+/mine/x{300}"):
        open_detection_set("mine", folder_of(tmp_path, images=[image(file_name="x" * 300)]))
