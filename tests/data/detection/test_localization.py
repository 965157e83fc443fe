import os
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_localization import imagenet, tiny_imagenet, two_classes

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import (
    image_class,
    open_localization_data,
    open_localization_test,
)
from deepres.data.detection.records import AnnotatedImage
from deepres.errors import UserError


def boxes(image: AnnotatedImage) -> list[list[float]]:
    return image.objects.boxes.tolist()


def test_tiny_imagenet_counts_pixels_from_zero_and_includes_the_last(tmp_path: Path) -> None:
    folder = tiny_imagenet(
        tmp_path, {"n01": [(0, 10, 63, 58)], "n02": [(3, 4, 5, 6)]}, [("n02", (1, 2, 10, 20))]
    )
    data = open_localization_data(folder)
    assert data.classes == ("n01", "n02")
    first, second = data.train.images
    assert (first.id, first.width, first.height) == ("n01_0", 64, 64)
    assert boxes(first) == [[0, 10, 64, 59]]
    assert boxes(second) == [[3, 4, 6, 7]]
    assert [image_class(image) for image in data.train.images] == [1, 2]
    (tested,) = data.test.images
    assert (tested.id, image_class(tested)) == ("val_0", 2)
    assert boxes(tested) == [[1, 2, 11, 21]]
    assert open_localization_test(folder).fingerprint() == data.test.fingerprint()


def test_names_of_images_may_repeat_across_classes(tmp_path: Path) -> None:
    given = {"n01": [(0.0, 10.0, 63.0, 58.0)], "n02": [(3.0, 4.0, 5.0, 6.0)]}
    folder = tiny_imagenet(tmp_path, given, [("n02", (1, 2, 10, 20))])
    for wnid in given:
        (folder / f"train/{wnid}/images/{wnid}_0.JPEG").rename(
            folder / f"train/{wnid}/images/0.JPEG"
        )
        file = folder / f"train/{wnid}/{wnid}_boxes.txt"
        file.write_text(file.read_text().replace(f"{wnid}_0", "0"))
    first, second = open_localization_data(folder).train.images
    assert (boxes(first), boxes(second)) == ([[0, 10, 64, 59]], [[3, 4, 6, 7]])


BAD = {"zero size": (12, 0, 34, 0), "reversed": (34, 5, 12, 9), "outside": (3, 3, 70, 20)}


@pytest.mark.parametrize("fault", BAD)
def test_boxes_that_cannot_be_right_stop_the_reading(tmp_path: Path, fault: str) -> None:
    folder = tiny_imagenet(tmp_path, {"n01": [(1, 1, 5, 5), BAD[fault]]}, [("n01", (1, 2, 10, 20))])
    with pytest.raises(UserError, match=f"n01_boxes.txt, object 2: .*{fault}.*n01_1.JPEG"):
        open_localization_data(folder)


def test_or_are_left_out_with_their_images_and_counted(tmp_path: Path) -> None:
    good = (1.0, 1.0, 5.0, 5.0)
    folder = tiny_imagenet(tmp_path, {"n01": [good, *BAD.values(), good]}, [("n01", good)])
    lines: list[str] = []
    data = open_localization_data(folder, "skip", say=lines.append)
    assert [image.id for image in data.train.images] == ["n01_0", "n01_4"]
    assert (data.train.dropped, data.test.dropped) == (3, 0)
    assert len(data.test) == 1
    assert any("1 object of zero size left out" in line for line in lines)
    assert lines[-1] == "Tiny-ImageNet train: 3 of 5 images have no box and are left out"


def test_a_set_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    good = (1.0, 1.0, 5.0, 5.0)
    folder = tiny_imagenet(tmp_path, {"n01": [good]}, [("n01", BAD["reversed"])])
    with pytest.raises(UserError, match=r"Tiny-ImageNet val in .* has no image with a box"):
        open_localization_data(folder, "skip", say=lambda line: None)


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    folder = two_classes(tmp_path)
    file = folder / "train/n02/n02_boxes.txt"
    file.write_text(file.read_text().replace("20\t7", "20\tseven"))
    with pytest.raises(UserError, match=r"n02_boxes.txt, line 2: expected x1 y1 x2 y2"):
        open_localization_data(folder)
    file.write_text("")
    with pytest.raises(UserError, match=r"n02_0.JPEG has no box"):
        open_localization_data(folder)
    file.unlink()
    with pytest.raises(UserError, match=r"n02_boxes.txt is missing"):
        open_localization_data(folder)


def test_imagenets_boxes_come_from_xml_and_several_may_be_on_an_image(tmp_path: Path) -> None:
    folder = imagenet(
        tmp_path,
        {
            "train/n01/n01_1": ((500, 375), [("n01", (0, 0, 499, 374)), ("n01", (10, 20, 30, 40))]),
            "train/n01/n01_2": None,
            "train/n02/n02_7": ((100, 50), [("n02", (0, 11, 50, 49))]),
            "val/n01/ILSVRC2012_val_00000002": ((20, 30), [("n01", (4, 5, 9, 9))]),
            "val/n02/ILSVRC2012_val_00000001": ((20, 30), [("n02", (0, 0, 19, 29))]),
        },
    )
    data = open_localization_data(folder)
    first, second = data.train.images  # less than half of the training images have boxes
    assert (first.id, first.width, first.height) == ("n01_1", 500, 375)
    assert boxes(first) == [[0, 0, 500, 375], [10, 20, 31, 41]]
    assert first.objects.labels.tolist() == [1, 1]
    assert boxes(second) == [[0, 11, 51, 50]]
    assert [(image.id[-1], image_class(image)) for image in data.test.images] == [
        ("2", 1),
        ("1", 2),
    ]
    assert data.train.images[0].path == folder / "train/n01/n01_1.JPEG"


@pytest.mark.parametrize("copies", [1, 2])
def test_boxes_of_a_picture_before_exif_turns_it_stop_or_are_left_out(
    tmp_path: Path, copies: int
) -> None:
    drawn = [("n01", (10.0, 20.0, 209.0, 119.0))]
    sizes = {"n01_1": (400, 300), "n01_2": (300, 400), "n01_3": (400, 300), "n01_4": (300, 400)}
    annotated = {f"train/n01/{name}": (size, drawn) for name, size in sizes.items()}
    folder = imagenet(tmp_path, {**annotated, "val/n01/x": ((8, 8), [("n01", (0, 0, 1, 1))])})
    for name, orientation in (("n01_1", 6), ("n01_2", 6), ("n01_3", 3)):  # a scaled copy will do
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture = Image.new("RGB", (400 // copies, 300 // copies))
        picture.save(folder / f"train/n01/{name}.JPEG", exif=exif)
    wrong = r"n01_1\.JPEG is \d+×\d+ pixels \(upright, .* annotation says 400×300"
    with pytest.raises(UserError, match=f"1 of 4 images cannot be what was annotated: .*{wrong}"):
        open_localization_data(folder)
    said: list[str] = []
    data = open_localization_data(folder, "skip", say=said.append)
    assert [image.id for image in data.train.images] == ["n01_2", "n01_3", "n01_4"]
    unclear, left_out = said
    assert "1 of 4 images are turned by EXIF" in unclear
    assert unclear.endswith("n01_3.JPEG")
    assert "1 of 4 images left out, of other sizes than annotated" in left_out


IMAGE = ((20, 30), [("n01", (4.0, 5.0, 9.0, 9.0))])


@pytest.mark.parametrize(
    "file",
    [
        "ILSVRC2012_validation_blacklist.txt",
        "ILSVRC2012_bbox_val/ILSVRC2013_clsloc_validation_blacklist.txt",
        "ILSVRC2014_devkit/data/ILSVRC2014_clsloc_validation_blacklist.txt",
        "ILSVRC/devkit/data/ILSVRC2017_clsloc_validation_blacklist.txt",
    ],
)
def test_images_that_ilsvrcs_own_test_leaves_out_are_left_out(tmp_path: Path, file: str) -> None:
    """The boxes of such an image are not asked for, either."""
    val = {f"val/n01/ILSVRC2012_val_{i:08d}": IMAGE if i != 2 else None for i in (1, 2, 3, 11)}
    folder = imagenet(tmp_path, {"train/n01/n01_1": IMAGE, **val})
    for name in (file, file.replace("validation", "det_validation").replace("clsloc_", "")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("2\n3\n500\n" if name == file else "2 17\n")  # DET's: pairs
    lines: list[str] = []
    test = open_localization_test(folder, say=lines.append)
    assert [image.id[-2:] for image in test.images] == ["01", "11"]
    (line,) = lines
    assert line.endswith(
        f"val: 2 of 4 images are left out, as in ILSVRC's own test, by {folder / file}"
    )
    assert len(open_localization_data(folder, say=lines.append).train) == 1


def test_without_their_list_they_count_and_that_is_said(tmp_path: Path) -> None:
    train = {"train/n01/n01_1": IMAGE}
    lines: list[str] = []
    folder = imagenet(tmp_path / "a", {**train, "val/n01/ILSVRC2012_val_00000001": IMAGE})
    assert len(open_localization_test(folder, say=lines.append)) == 1
    (line,) = lines
    assert "val: the 1,762 images that ILSVRC's own test leaves out count, too" in line
    assert "ILSVRC2015_clsloc_validation_blacklist.txt of its development kit" in line
    assert f"in {folder}, or" in line
    others = imagenet(tmp_path / "b", {**train, "val/n01/n01_2": IMAGE})  # no images of ILSVRC's
    open_localization_test(others, say=lines.append)
    assert len(lines) == 1


def test_a_run_that_began_before_their_list_was_there_goes_on_with_them(tmp_path: Path) -> None:
    val = {f"val/n01/ILSVRC2012_val_{i:08d}": IMAGE for i in (1, 2)}
    folder = imagenet(tmp_path, {"train/n01/n01_1": IMAGE, **val})
    began_with = open_localization_data(folder).fingerprint()
    (folder / "ILSVRC2015_clsloc_validation_blacklist.txt").write_text("2\n")
    lines: list[str] = []
    going_on = open_localization_data(folder, began_with=began_with, say=lines.append)
    assert going_on.fingerprint() == began_with
    assert len(going_on.test) == 2
    assert lines[-1].endswith("val: the run began with all 2 images, so none is left out")
    others = open_localization_data(folder, began_with="another", say=lines.append)
    assert others.fingerprint() == open_localization_data(folder).fingerprint() != began_with
    assert len(others.test) == 1
    (folder / "ILSVRC2012_bbox_val/ILSVRC2012_val_00000002.xml").unlink()  # it is not asked for
    assert len(open_localization_data(folder, began_with=began_with).test) == 1


@pytest.mark.parametrize("line", ["0", "50001", "ILSVRC2012_val_00000002", ""])
def test_a_list_of_images_to_leave_out_has_a_number_a_line(tmp_path: Path, line: str) -> None:
    images = {"train/n01/n01_1": IMAGE, "val/n01/ILSVRC2012_val_00000001": IMAGE}
    folder = imagenet(tmp_path, images)
    file = folder / "ILSVRC2015_clsloc_validation_blacklist.txt"
    file.write_text(f"1\n{line}\n7\n")
    with pytest.raises(UserError, match=f"{file.name}, line 2: expected the number of .*{line}'"):
        open_localization_test(folder)


def test_every_image_for_validation_must_have_boxes(tmp_path: Path) -> None:
    one = ((20, 30), [("n01", (4.0, 5.0, 9.0, 9.0))])
    folder = imagenet(
        tmp_path, {"train/n01/n01_1": one, "val/n01/val_1": one, "val/n01/val_2": None}
    )
    with pytest.raises(UserError, match=r"1 file is missing: val_2.xml"):
        open_localization_test(folder)


def test_an_object_of_another_class_is_a_fault(tmp_path: Path) -> None:
    one = ((20, 30), [("n01", (4.0, 5.0, 9.0, 9.0)), ("n02", (4.0, 5.0, 9.0, 9.0))])
    folder = imagenet(tmp_path, {"train/n01/n01_1": one, "val/n01/val_1": one})
    with pytest.raises(UserError, match=r"n01_1.xml, object 2: of unknown class \('n02'\)"):
        open_localization_data(folder)
    assert len(open_localization_test(folder, "skip").images[0].objects.boxes) == 1


def test_difficult_objects_count_as_others_do(tmp_path: Path) -> None:
    """ILSVRC's development kit does not look at the mark."""
    one = ((20, 30), [("n01", (4.0, 5.0, 9.0, 9.0))])
    folder = imagenet(tmp_path, {"train/n01/n01_1": one, "val/n01/val_1": one})
    file = folder / "ILSVRC2012_bbox_val/val_1.xml"
    file.write_text(file.read_text().replace("<difficult>0", "<difficult>1"))
    assert open_localization_test(folder).images[0].objects.ignored.tolist() == [False]


def test_a_folder_without_boxes_is_refused(tmp_path: Path) -> None:
    folder = imagenet(tmp_path, {"train/n01/n01_1": None, "val/n01/val_1": None})
    with pytest.raises(UserError, match="missing"):
        open_localization_data(folder)
    for part in ("train", "val"):
        for place in sorted(folder.glob(f"ILSVRC2012_bbox_{part}/**/"), reverse=True):
            place.rmdir()
    with pytest.raises(UserError, match=r"has no boxes; unpack ImageNet's into"):
        open_localization_data(folder)


def test_boxes_may_lie_in_files_of_large_endings_beside_hidden_ones(tmp_path: Path) -> None:
    one = ((20, 30), [("n01", (4.0, 5.0, 9.0, 9.0))])
    folder = imagenet(tmp_path, {"train/n01/n01_1": one, "val/n01/val_1": one})
    file = folder / "ILSVRC2012_bbox_val/val_1.xml"
    file.rename(file.with_suffix(".XML"))
    (folder / "ILSVRC2012_bbox_val/._val_1.XML").write_bytes(b"of macOS")
    assert boxes(open_localization_test(folder).images[0]) == [[4, 5, 10, 10]]
    again = folder / "ILSVRC2012_bbox_val/again/val_1.xml"
    again.parent.mkdir()
    again.write_text("<annotation/>")
    message = r"val has 'val_1' twice: \S+/again/val_1\.xml and \S+/val_1\.XML"
    with pytest.raises(UserError, match=message):
        open_localization_test(folder)


def test_tiny_imagenets_lists_may_be_of_any_encoding_but_not_name_an_image_twice(
    tmp_path: Path,
) -> None:
    folder = two_classes(tmp_path)
    expected = open_localization_data(folder).fingerprint()
    for name in ("train/n01/n01_boxes.txt", "val/val_annotations.txt"):
        file = folder / name
        text = file.read_text()
        file.write_bytes(f"{text}\n".replace("\n", "\r\n").encode("utf-16"))
        assert open_localization_data(folder).fingerprint() == expected
        file.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert open_localization_data(folder).fingerprint() == expected
        file.write_bytes(text.encode() + b"caf\xe9\n")
        with pytest.raises(UserError, match=rf"{file.name}, line {text.count(chr(10)) + 1} is not"):
            open_localization_data(folder)
        file.write_text(text + text.splitlines()[0] + "\n")
        with pytest.raises(UserError, match=rf"{file.name} has '\S+\.JPEG' twice: line 1 and line"):
            open_localization_data(folder)
        file.write_text(text)


def test_images_are_spread_evenly(tmp_path: Path) -> None:
    dataset = open_localization_data(two_classes(tmp_path)).train
    assert [image.id for image in dataset.spread(4).images] == [
        *("n01_0", "n01_2", "n02_0", "n02_2"),
    ]
    assert dataset.spread(8) is dataset


def test_boxes_are_shares_of_their_images(tmp_path: Path) -> None:
    folder = imagenet(
        tmp_path,
        {
            "train/n01/n01_1": ((200, 100), [("n01", (0, 0, 99, 49)), ("n01", (50, 50, 199, 99))]),
            "train/n02/n02_1": ((10, 10), [("n02", (0, 0, 9, 9))]),
            "val/n01/val_1": ((20, 30), [("n01", (4, 5, 9, 9))]),
            "val/n02/val_2": ((20, 30), [("n02", (4, 5, 9, 9))]),
        },
    )
    images = BoxedImages.of(open_localization_data(folder).train)
    assert images.sizes.tolist() == [[200, 100], [10, 10]]
    assert images.classes.tolist() == [0, 1]
    torch.testing.assert_close(
        images.boxes_of(0), torch.tensor([[0, 0, 0.5, 0.5], [0.25, 0.5, 1, 1]])
    )
    assert images.boxes_of(1).tolist() == [[0, 0, 1, 1]]
    torch.testing.assert_close(
        images.mean_box(), torch.tensor([0.25 / 3, 0.5 / 3, 2.5 / 3, 2.5 / 3])
    )


def test_tiny_imagenets_published_boxes(tmp_path: Path) -> None:
    """41 of the 10,000 for validation are of zero size."""
    given = Path(os.environ.get("DEEPRES_TEST_DATA", "")) / "tiny-imagenet-sample.tar"
    if not given.is_file():
        pytest.skip("set DEEPRES_TEST_DATA to a folder with tiny-imagenet-sample.tar")
    folder = tmp_path / "tiny-imagenet-200"
    with tarfile.open(given) as tar:
        tar.extract("tiny-imagenet-200/val/val_annotations.txt", tmp_path, filter="data")
    lines = (folder / "val/val_annotations.txt").read_text().splitlines()
    for wnid in {line.split("\t")[1] for line in lines}:  # without the pixels, which are not read
        (folder / "train" / wnid).mkdir(parents=True)
    (folder / "train" / wnid / "any.JPEG").touch()
    (folder / "val/images").mkdir()
    for line in lines:
        (folder / "val/images" / line.split("\t")[0]).touch()
    (folder / "train" / wnid / f"{wnid}_boxes.txt").touch()
    with pytest.raises(UserError, match=r"41 objects that cannot be right: .*object 38: of zero"):
        open_localization_test(folder)
    data = open_localization_test(folder, "skip")
    assert len(data.classes) == 200
    assert (len(data), data.dropped) == (9_959, 41)
    assert boxes(data.images[0]) == [[0, 32, 45, 63]]
