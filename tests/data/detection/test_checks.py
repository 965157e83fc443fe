from pathlib import Path

import pytest
from annotated_pictures import Drawn, coco_folder, voc_folder, voc_xml
from PIL import Image

from deepres.data.detection.picture_sizes import checked_sizes
from deepres.data.detection.splits import open_detection_set
from deepres.data.images import BadImage
from deepres.errors import UserError

NAN = float("nan")
GOOD: Drawn = ("a", (1, 1, 60, 40))


@pytest.mark.parametrize(
    ("corners", "wrong"),
    [
        ((5, 5, 5, 9), "of zero size"),
        ((5, 9, 7, 9), "of zero size"),
        ((7, 5, 5, 9), "reversed"),
        ((5, 9, 7, 8), "reversed"),
        ((5, 5, 62, 9), "outside the image"),
        ((5, 5, 7, 42), "outside the image"),
        ((-1, 5, 7, 9), "outside the image"),
        ((5, -2, 7, 9), "outside the image"),
        ((61, 5, 61.5, 9), "outside the image"),
        ((NAN, 5, 7, 9), "not numbers"),
        ((5, 5, 7, float("inf")), "not numbers"),
        ((5, "five", 7, 9), "not numbers"),
    ],
)
def test_bad_boxes_of_voc_stop_or_are_left_out(
    tmp_path: Path, corners: tuple[float, float, float, float], wrong: str
) -> None:
    xml = voc_xml(60, 40, [GOOD, ("a", corners), ("a", (2, 2, 3, 3))])
    folder = voc_folder(tmp_path / "cells", {"train": {"x": xml}})
    with pytest.raises(UserError) as error:
        open_detection_set("train", folder)
    assert f"{folder}/Annotations/x.xml, object 2: {wrong} (" in str(error.value)
    assert "--bad-boxes skip" in str(error.value)
    said: list[str] = []
    data = open_detection_set("train", folder, "skip", said.append)
    assert data.images[0].objects.boxes.tolist() == [[0, 0, 60, 40], [1, 1, 3, 3]]
    assert data.dropped == 1
    (line,) = said
    assert line.startswith(f"cells train: 1 object {wrong} left out; the first: {folder}")


@pytest.mark.parametrize(
    ("box", "wrong"),
    [
        ([5, 5, 0, 4], "of zero size"),
        ([5, 5, 4, 0.0], "of zero size"),
        ([5, 5, -1, 4], "reversed"),
        ([5, 5, 57, 4], "outside the image"),
        ([-1.5, 5, 7, 4], "outside the image"),
        ([60.2, 5, 0.5, 4], "outside the image"),
        ([5, NAN, 7, 4], "not numbers"),
        ([5, None, 7, 4], "not numbers"),
    ],
)
def test_bad_boxes_of_coco_are_named_by_their_number(
    tmp_path: Path, box: list[float], wrong: str
) -> None:
    good = {"category_id": 7, "bbox": [0, 0, 60, 40]}
    bad = {"category_id": 7, "bbox": box, "area": 16}
    folder = coco_folder(tmp_path, "train", {5: [good, bad]}, {7: "a"})
    with pytest.raises(UserError, match=f"instances_train.json, object 102: {wrong}"):
        open_detection_set("train", folder)
    data = open_detection_set("train", folder, "skip", lambda line: None)
    assert data.images[0].objects.boxes.tolist() == [[0, 0, 60, 40]]
    assert data.dropped == 1


def test_a_pixel_over_the_edge_is_rounding_and_cut_off(tmp_path: Path) -> None:
    xml = voc_xml(60, 40, [("a", (0, 0, 61, 41))])
    folder = voc_folder(tmp_path / "cells", {"train": {"x": xml}})
    data = open_detection_set("train", folder)
    assert data.images[0].objects.boxes.tolist() == [[0, 0, 60, 40]]


def test_the_first_faults_are_named_and_all_are_counted(tmp_path: Path) -> None:
    flat: Drawn = ("a", (5, 5, 5, 5))
    outside: Drawn = ("a", (5, 5, 500, 7))
    splits = {str(i): voc_xml(60, 40, [GOOD, flat, outside]) for i in range(4)}
    folder = voc_folder(tmp_path / "cells", {"train": splits})
    with pytest.raises(UserError) as error:
        open_detection_set("train", folder)
    assert str(error.value).startswith("cells train has 8 objects that cannot be right: ")
    assert "/1.xml, object 2: of zero size" in str(error.value)
    assert "/1.xml, object 3" not in str(error.value)
    assert "; and 5 more. Mend" in str(error.value)
    said: list[str] = []
    open_detection_set("train", folder, "skip", said.append)
    assert [line.partition(" left out")[0] for line in said] == [
        "cells train: 4 objects of zero size",
        "cells train: 4 objects outside the image",
    ]


def test_unknown_classes_are_faults_too(tmp_path: Path) -> None:
    images = {5: [{"category_id": 8, "bbox": [0, 0, 6, 4]}]}
    folder = coco_folder(tmp_path, "train", images, {7: "a"})
    with pytest.raises(UserError, match=r"object 101: of unknown class \(8\)"):
        open_detection_set("train", folder)
    devkit = tmp_path / "VOC2007"
    voc_folder(devkit, {"test": {"x": voc_xml(60, 40, [("unicorn", (1, 1, 9, 9))])}})
    with pytest.raises(UserError, match=r"x\.xml, object 1: of unknown class \('unicorn'\)"):
        open_detection_set("voc2007-test", devkit)


def test_pictures_of_another_size_stop_or_are_left_out(tmp_path: Path) -> None:
    images = {name: voc_xml(60, 40, [GOOD]) for name in "xyz"}
    folder = voc_folder(tmp_path / "cells", {"train": images})
    data = open_detection_set("train", folder)
    said: list[str] = []
    assert checked_sizes(data, "fail", said.append) is data
    turned = Image.Exif()
    turned[0x0112] = 6  # upright it is 60×40
    Image.new("RGB", (40, 60)).save(folder / "JPEGImages/z.jpg", exif=turned)
    Image.new("RGB", (30, 20)).save(folder / "JPEGImages/y.jpg")
    assert len(open_detection_set("train", folder, pictures=False)) == 3
    with pytest.raises(UserError, match="1 of 3 images"):
        open_detection_set("train", folder)
    wrong = f"{folder}/JPEGImages/y.jpg is 30×20 pixels (upright, as its EXIF data say), but its "
    with pytest.raises(UserError, match="1 of 3 images") as error:
        checked_sizes(data, "fail", said.append)
    assert wrong in str(error.value)
    assert str(error.value).endswith("leave such images out: --bad-boxes skip")
    assert [image.id for image in checked_sizes(data, "skip", said.append).images] == ["x", "z"]
    (line,) = said
    assert line.startswith("cells train: 1 of 3 images left out, ")
    assert wrong in line
    (folder / "JPEGImages/x.jpg").write_bytes(b"no picture")
    with pytest.raises(BadImage, match=r"x.jpg: not an image"):
        checked_sizes(data, "skip", said.append)


def test_turns_that_no_size_tells_of_are_said(tmp_path: Path) -> None:
    images = {name: voc_xml(60, 40, [GOOD]) for name in "xyz"}
    folder = voc_folder(tmp_path / "cells", {"train": images})
    for name, orientation, size in (("y", 3, (60, 40)), ("z", 6, (40, 60))):
        turned = Image.Exif()
        turned[0x0112] = orientation
        Image.new("RGB", size).save(folder / f"JPEGImages/{name}.jpg", exif=turned)
    said: list[str] = []
    assert len(open_detection_set("train", folder, say=said.append)) == 3
    (line,) = said
    assert line.startswith("cells train: 1 of 3 images are turned by EXIF, and no size tells ")
    assert line.endswith("y.jpg")
