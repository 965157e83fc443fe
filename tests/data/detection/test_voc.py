from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from annotated_pictures import Drawn, voc_folder, voc_xml

from deepres.data.detection.splits import open_detection_set
from deepres.data.detection.voc_classes import VOC_CLASSES
from deepres.errors import UserError

DOG: Drawn = ("dog", (1, 1, 60, 40))
CAT: Drawn = ("cat", (11, 21, 30, 32))


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """VOC 2007 and 2012, an image or two a split."""
    both = [DOG, CAT]
    voc_folder(
        tmp_path / "VOCdevkit/VOC2007",
        {
            "trainval": {"000005": voc_xml(60, 40, both, difficult=[1])},
            "test": {"000001": voc_xml(60, 40, [CAT]), "000002": voc_xml(60, 40, [])},
        },
    )
    xml = voc_xml(60, 40, [("person", (45.7, 1, 46.2, 20.5))])
    voc_folder(
        tmp_path / "VOCdevkit/VOC2012",
        {"trainval": {"2008_000008": xml}, "test": {"2012_000001": None}},
    )
    return tmp_path


def test_corners_are_pixels_counted_from_one(devkit: Path) -> None:
    data = open_detection_set("voc2007-trainval", devkit)
    (image,) = data.images
    assert (data.name, image.id, image.width, image.height) == (
        "VOC 2007 trainval",
        "000005",
        60,
        40,
    )
    assert image.objects.boxes.tolist() == [[0, 0, 60, 40], [10, 20, 30, 32]]
    assert [data.classes[label - 1] for label in image.objects.labels] == ["dog", "cat"]
    assert image.objects.ignored.tolist() == [False, True]
    assert image.objects.boxes.dtype == torch.float32
    assert data.classes == VOC_CLASSES
    assert len(VOC_CLASSES) == 20


def test_corners_may_be_fractions(devkit: Path) -> None:
    (image,) = open_detection_set("voc2012-trainval", devkit).images
    torch.testing.assert_close(image.objects.boxes, torch.tensor([[44.7, 0, 46.2, 20.5]]))


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("voc2007-test", ["000001", "000002"]),
        ("voc07+12", ["000005", "2008_000008"]),
        ("voc07++12", ["000005", "000001", "000002", "2008_000008"]),
    ],
)
def test_sets_are_made_of_years(devkit: Path, name: str, ids: list[str]) -> None:
    data = open_detection_set(name, devkit)
    assert [image.id for image in data.images] == ids
    assert all(image.path.is_file() for image in data.images)
    assert data.annotated


def test_an_image_without_objects_is_kept(devkit: Path) -> None:
    objects = open_detection_set("voc2007-test", devkit).images[1].objects
    assert objects.boxes.shape == (0, 4)
    assert objects.labels.dtype == torch.int64
    assert objects.ignored.dtype == torch.bool


def test_of_voc_2012_test_nothing_is_known_but_the_images(devkit: Path) -> None:
    data = open_detection_set("voc2012-test", devkit)
    assert not data.annotated
    assert (data.images[0].width, data.images[0].height) == (60, 40)


@pytest.mark.parametrize("where", [".", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_any_of_three_folders_will_do(devkit: Path, where: str) -> None:
    assert len(open_detection_set("voc2007-test", devkit / where)) == 2


def test_a_folder_has_classes_of_its_own(tmp_path: Path) -> None:
    """The same in each split, even those that do not occur there."""
    xml = {name: voc_xml(60, 40, [(name, (1, 1, 9, 9))]) for name in ("b", "a", "c")}
    folder = voc_folder(tmp_path / "cells", {"train": {"0": xml["b"], "1": xml["a"]}})
    voc_folder(folder, {"test": {"2": xml["c"]}})
    data = open_detection_set("test", folder)
    assert (data.name, data.classes) == ("cells test", ("a", "b", "c"))
    assert data.images[0].objects.labels.tolist() == [3]
    (folder / "classes.txt").write_text("c\nb\n\na\n")
    data = open_detection_set("test", folder)
    assert (data.classes, data.images[0].objects.labels.tolist()) == (("c", "b", "a"), [1])
    (folder / "classes.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=r"2\.xml, object 1: of unknown class \('c'\)"):
        open_detection_set("test", folder)


def test_images_names_may_have_spaces(tmp_path: Path) -> None:
    """A number behind one is a flag only where no image is called so."""
    xml = voc_xml(60, 40, [DOG])
    names = ["photo", "photo 0", "photo 1", "street  at night"]
    folder = voc_folder(tmp_path / "street", {"train": dict.fromkeys(names, xml)})
    assert [each.id for each in open_detection_set("train", folder).images] == names
    lines = ("photo -1", "photo 0  1", "photo 1", "street  at night\t0")
    (folder / "ImageSets/Main/dog_train.txt").write_text("\n".join(lines))
    assert [each.id for each in open_detection_set("dog_train", folder).images] == names
    (folder / "ImageSets/Main/other.txt").write_text("photo 7\n")
    with pytest.raises(UserError, match=r"1 file is missing: .*/photo 7\.jpg"):
        open_detection_set("other", folder)


def test_pictures_may_have_any_ending_and_no_size_in_the_annotation(tmp_path: Path) -> None:
    xml = voc_xml(0, 0, [("a", (1, 1, 60, 40))])
    folder = voc_folder(tmp_path / "cells", {"train": {"x": xml}})
    (folder / "JPEGImages/x.jpg").rename(folder / "JPEGImages/x.JPEG")
    (image,) = open_detection_set("train", folder).images
    assert (image.width, image.height, image.path.name) == (60, 40, "x.JPEG")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda voc: (voc / "JPEGImages/000002.jpg").unlink(),
            r"1 file is missing: \S+000002\.jpg;",
        ),
        (lambda voc: (voc / "Annotations/000001.xml").unlink(), r"missing: \S+000001\.xml;"),
        (
            lambda voc: (voc / "ImageSets/Main/test.txt").unlink(),
            r"test\.txt is missing; the lists of images there are: trainval",
        ),
        (lambda voc: (voc / "ImageSets/Main/test.txt").write_text("\n"), "lists no images"),
        (
            lambda voc: (voc / "Annotations/000001.xml").write_text("<annotation><object>"),
            r"000001\.xml is not well-formed XML \(no element found",
        ),
        (
            lambda voc: (voc / "Annotations/000001.xml").write_text(
                "<?xml encoding='klingon'?><a/>"
            ),
            r"000001\.xml is not well-formed XML",
        ),
        (lambda voc: voc.rename(voc.parent / "VOC2006"), r"has no VOC2007; expected \S+/VOC2007"),
    ],
)
def test_what_is_missing_or_malformed_is_named(
    devkit: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(devkit / "VOCdevkit/VOC2007")
    with pytest.raises(UserError, match=message) as error:
        open_detection_set("voc2007-test", devkit)
    assert "\n" not in str(error.value)


def test_an_unknown_name_gets_the_nearest(devkit: Path) -> None:
    with pytest.raises(UserError, match="did you mean voc2007-test"):
        open_detection_set("voc2007-tset", devkit)
    with pytest.raises(UserError, match="did you mean trainval"):
        open_detection_set("trianval", devkit / "VOCdevkit/VOC2007")
    with pytest.raises(UserError, match="nowhere: no such folder"):
        open_detection_set("voc2007-test", devkit / "nowhere")


def test_the_real_sample_is_read_whole(voc2012_sample: Path) -> None:
    train = open_detection_set("voc2012-train", voc2012_sample)
    val = open_detection_set("voc2012-val", voc2012_sample)
    both = open_detection_set("voc2012-trainval", voc2012_sample)
    assert (len(train), len(val), len(both)) == (60, 40, 100)
    objects = [image.objects for image in both.images]
    assert sum(len(each.boxes) for each in objects) == 273
    assert {int(label) for each in objects for label in each.labels} == {*range(1, 21)}
    assert sum(int(each.ignored.sum()) for each in objects) > 0
    first = next(image for image in both.images if image.id == "2007_000027")
    assert first.objects.boxes.tolist() == [[173, 100, 349, 351]]
    assert both.classes[first.objects.labels[0] - 1] == "person"


def test_bccds_two_boxes_of_zero_size_stop_or_are_left_out(bccd: Path) -> None:
    wrong = r"BCCD trainval has 2 objects that cannot be right: \S+BloodImage_00338\.xml, object 13"
    with pytest.raises(UserError, match=wrong):
        open_detection_set("trainval", bccd)
    said: list[str] = []
    data = open_detection_set("trainval", bccd, "skip", said.append)
    assert data.classes == ("Platelets", "RBC", "WBC")
    assert (len(data), data.dropped) == (292, 2)
    assert len(said) == 1
    assert "BCCD trainval: 2 objects of zero size left out" in said[0]
    test = open_detection_set("test", bccd)
    assert sum(len(i.objects.boxes) for i in (*data.images, *test.images)) == 4_888 - 2
