from pathlib import Path

import pytest
from annotated_pictures import voc_xml
from pictures import picture

from deepres.data.detection.imagenet_det_classes import DET_CLASSES
from deepres.data.detection.splits import open_detection_set
from deepres.errors import UserError
from deepres.evaluation.detection.rules import benchmark_rule

ACCORDION, ZEBRA = "n02672831", "n02391049"


@pytest.fixture
def ilsvrc(tmp_path: Path) -> Path:
    """The layout of ILSVRC 2015 to 2017: an image of each kind."""
    root = tmp_path / "ILSVRC"
    positive, partial = "ILSVRC2013_train/n02672831/n02672831_7", "ILSVRC2014_train_0000/a_1"
    negative = "ILSVRC2013_train_extra0/b_2"
    lists = {
        "train_1": f"{positive} 1\n{partial} 0\n{negative} -1\n",
        "train_2": f"{positive} -1\nILSVRC2014_train_0000/d_4 1\n",
        "train_10": "ILSVRC2014_train_0000/c_3 1\n",
        "val": "ILSVRC2012_val_1 1\nILSVRC2012_val_2 2\n",
        "val1": "ILSVRC2012_val_2 1\n",
        "val2": "ILSVRC2012_val_1 1\n",
        "test": "ILSVRC2012_test_1 1\n",
    }
    for name, lines in lists.items():
        split = name.partition("_")[0]
        (root / "ImageSets/DET").mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/DET/{name}.txt").write_text(lines)
        for line in lines.splitlines():
            path = root / f"Data/DET/{split.rstrip('12')}/{line.split()[0]}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(60, 40).save(path)
    xml = voc_xml(60, 40, [(ZEBRA, (0, 0, 59, 39)), (ACCORDION, (10, 10, 60, 40))])
    for name in (f"train/{positive}", f"train/{partial}", "val/ILSVRC2012_val_2"):
        path = root / f"Annotations/DET/{name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(xml)
    return tmp_path


def test_the_classes_are_the_official_ones_in_order() -> None:
    assert len(DET_CLASSES) == 200
    names = [*DET_CLASSES.values()]
    # The development kit's readme shows the first and the last five.
    assert names[:5] == ["accordion", "airplane", "ant", "antelope", "apple"]
    assert names[-5:] == ["water bottle", "watercraft", "whale", "wine bottle", "zebra"]
    assert (DET_CLASSES[ACCORDION], DET_CLASSES[ZEBRA]) == ("accordion", "zebra")
    assert len({*names}) == 200


def test_training_images_are_those_listed_for_what_they_show(ilsvrc: Path) -> None:
    data = open_detection_set("imagenet-det-train", ilsvrc)
    assert [image.id for image in data.images] == [
        *("ILSVRC2013_train/n02672831/n02672831_7", "ILSVRC2014_train_0000/a_1"),
        *("ILSVRC2014_train_0000/d_4", "ILSVRC2014_train_0000/c_3"),
    ]


def test_the_halves_of_val_are_two_lists_of_its_images(ilsvrc: Path) -> None:
    both = open_detection_set("imagenet-det-train+val1", ilsvrc)
    assert both.name == "ImageNet DET train + val1"
    train = open_detection_set("imagenet-det-train", ilsvrc)
    assert [image.id for image in both.images] == [
        *(image.id for image in train.images), "ILSVRC2012_val_2"
    ]  # fmt: skip
    assert both.images[-1].objects.labels.tolist() == [200, 1]
    half = open_detection_set("imagenet-det-val2", ilsvrc)
    assert (half.name, half.annotated) == ("ImageNet DET val2", True)
    assert [image.path for image in half.images] == [
        ilsvrc / "ILSVRC/Data/DET/val/ILSVRC2012_val_1.JPEG"
    ]
    assert benchmark_rule(half) == "imagenet-det"


@pytest.mark.parametrize("half", ["val1", "val2"])
def test_a_missing_half_says_where_it_comes_from(ilsvrc: Path, half: str) -> None:
    lists = ilsvrc / "ILSVRC/ImageSets/DET"
    (lists / f"{half}.txt").unlink()
    (ilsvrc / "ILSVRC/Annotations/DET/train").rename(ilsvrc / "elsewhere")  # comes later
    name = {"val1": "imagenet-det-train+val1", "val2": "imagenet-det-val2"}[half]
    message = rf"{half}\.txt is missing; .* put val1\.txt and val2\.txt from R-CNN's code \(github"
    with pytest.raises(UserError, match=message):
        open_detection_set(name, ilsvrc)


def test_pixels_are_counted_from_zero(ilsvrc: Path) -> None:
    data = open_detection_set("imagenet-det-val", ilsvrc / "ILSVRC")
    empty, image = data.images
    assert empty.objects.boxes.shape == (0, 4)
    assert (empty.width, empty.height) == (60, 40)
    assert image.objects.boxes.tolist() == [[0, 0, 60, 40], [10, 10, 60, 40]]
    assert image.objects.labels.tolist() == [200, 1]
    assert data.classes[0] == "accordion"
    assert data.annotated


def test_of_the_test_images_nothing_is_known(ilsvrc: Path) -> None:
    data = open_detection_set("imagenet-det-test", ilsvrc)
    assert (len(data), data.annotated) == (1, False)


def test_what_is_missing_is_named(ilsvrc: Path) -> None:
    (ilsvrc / "ILSVRC/Data/DET/val/ILSVRC2012_val_2.JPEG").unlink()
    with pytest.raises(UserError, match=r"1 file is missing: \S+ILSVRC2012_val_2\.JPEG"):
        open_detection_set("imagenet-det-val", ilsvrc)
    (ilsvrc / "ILSVRC/ImageSets/DET/val.txt").unlink()
    with pytest.raises(UserError, match=r"DET/val\.txt is missing"):
        open_detection_set("imagenet-det-val", ilsvrc)
    (ilsvrc / "ILSVRC/Annotations/DET/train").rename(ilsvrc / "elsewhere")
    with pytest.raises(UserError, match=r"Annotations/DET/train is missing"):
        open_detection_set("imagenet-det-train", ilsvrc)


def test_lists_of_any_encoding_and_endings_of_any_size_are_read(ilsvrc: Path) -> None:
    root = ilsvrc / "ILSVRC"
    listed = root / "ImageSets/DET/val.txt"
    listed.write_bytes(listed.read_text().replace("\n", "\r\n").encode("utf-16"))
    file = root / "Annotations/DET/val/ILSVRC2012_val_2.xml"
    file.rename(file.with_suffix(".XML"))
    data = open_detection_set("imagenet-det-val", ilsvrc)
    assert [len(image.objects.boxes) for image in data.images] == [0, 2]


def test_an_image_listed_twice_is_one_line(ilsvrc: Path) -> None:
    """But training images are gathered from lists that overlap."""
    listed = ilsvrc / "ILSVRC/ImageSets/DET/val.txt"
    listed.write_text(listed.read_text() + "ILSVRC2012_val_1 3\n")
    message = r"val\.txt has 'ILSVRC2012_val_1' twice: line 1 and line 3"
    with pytest.raises(UserError, match=message):
        open_detection_set("imagenet-det-val", ilsvrc)
    listed = ilsvrc / "ILSVRC/ImageSets/DET/train_1.txt"
    listed.write_text(listed.read_text() * 2)
    assert len(open_detection_set("imagenet-det-train", ilsvrc)) == 4


@pytest.mark.parametrize("mark", ["1", "perhaps"])
def test_difficult_objects_count_as_others_do(ilsvrc: Path, mark: str) -> None:
    """ILSVRC's development kit does not look at the mark."""
    file = ilsvrc / "ILSVRC/Annotations/DET/val/ILSVRC2012_val_2.xml"
    text = file.read_text()
    assert "<difficult>0" in text
    file.write_text(text.replace("<difficult>0", f"<difficult>{mark}"))
    (image,) = open_detection_set("imagenet-det-val1", ilsvrc).images
    assert image.objects.ignored.tolist() == [False, False]
