import dataclasses
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import image_folder, picture
from PIL import Image
from small_localization import two_classes

from deepres.data.folder import (
    UNKNOWN,
    ImageFiles,
    ImageFolder,
    open_image_folder,
    open_test_images,
)
from deepres.data.images import BadImage
from deepres.errors import UserError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


@pytest.fixture
def cats_and_dogs(tmp_path: Path) -> Path:
    touch(tmp_path, "train/dog/b.jpg", "train/dog/a.JPEG", "train/dog/deep/er/c.png")
    touch(tmp_path, "train/cat/x.webp", "val/cat/1/v.jpg", "val/dog/w.jpg")
    return tmp_path


@pytest.fixture
def tiny_imagenet(tmp_path: Path) -> Path:
    """Its own layout: boxes beside the images, and validation images in one folder."""
    touch(tmp_path, "wnids.txt", "train/n02/n02_boxes.txt", "train/n01/n01_boxes.txt")
    touch(tmp_path, "train/n02/images/n02_0.JPEG", "train/n01/images/n01_0.JPEG")
    touch(tmp_path, *(f"val/images/val_{i}.JPEG" for i in range(3)))
    lines = ["val_2.JPEG\tn01\t0\t0\t62\t57", "val_0.JPEG\tn02\t1\t2\t3\t4"]
    lines += ["val_1.JPEG\tn01\t0\t0\t9\t9"]
    (tmp_path / "val/val_annotations.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_images_lie_at_any_depth_below_their_class(cats_and_dogs: Path) -> None:
    data = open_image_folder(cats_and_dogs)
    assert data.classes == ("cat", "dog")
    assert data.train.names == ("cat/x.webp", "dog/a.JPEG", "dog/b.jpg", "dog/deep/er/c.png")
    assert data.train.labels == (0, 1, 1, 1)
    assert dict(zip(data.test.names, data.test.labels, strict=True)) == {
        "cat/1/v.jpg": 0,
        "dog/w.jpg": 1,
    }
    assert data.source == f"{cats_and_dogs.name} (2 classes)"


def test_what_is_hidden_or_no_image_is_left_out(cats_and_dogs: Path) -> None:
    before = open_image_folder(cats_and_dogs)
    touch(cats_and_dogs, "train/dog/.b.jpg", "train/.cache/a.jpg", "train/cat/.thumbs/a.jpg")
    touch(cats_and_dogs, "train/dog/boxes.txt", "train/readme", "val/.DS_Store", "val/cat/jpg")
    assert open_image_folder(cats_and_dogs) == before


def test_tiny_imagenets_validation_classes_are_in_a_table(tiny_imagenet: Path) -> None:
    data = open_image_folder(tiny_imagenet)
    assert data.classes == ("n01", "n02")
    assert data.train.names == ("n01/images/n01_0.JPEG", "n02/images/n02_0.JPEG")
    assert dict(zip(data.test.names, data.test.labels, strict=True)) == {
        "images/val_0.JPEG": 1,
        "images/val_1.JPEG": 0,
        "images/val_2.JPEG": 0,
    }
    for i, name in enumerate(data.test.names):
        assert (data.test.root / name).is_file(), i
    assert open_test_images(tiny_imagenet) == (data.test, data.classes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: shutil.rmtree(root / "val"), r"no folder 'val'; images are expected in"),
        (lambda root: shutil.rmtree(root / "train"), "no folder 'train'"),
        (lambda root: shutil.rmtree(root / "val/dog"), "but dog is only in train"),
        (lambda root: touch(root, "val/ant/a.jpg"), "but ant is only in val"),
        (lambda root: (root / "val/dog").rename(root / "val/fox"), r"dog .*train \(2 such"),
        (lambda root: shutil.rmtree(root / "train/cat") or shutil.rmtree(root / "train/dog"), None),
        (lambda root: [path.unlink() for path in root.rglob("*.jpg")], "val holds no images"),
    ],
)
def test_what_is_wrong_is_named(
    cats_and_dogs: Path, spoil: Callable[[Path], object], message: str | None
) -> None:
    spoil(cats_and_dogs)
    with pytest.raises(UserError, match=message or "train has no folders; expected one for each"):
        open_image_folder(cats_and_dogs)


def test_a_class_without_a_folder_in_train_is_named(tiny_imagenet: Path) -> None:
    table = tiny_imagenet / "val/val_annotations.txt"
    table.write_text("val_0.JPEG\tn09\t1\t2\t3\t4\n")
    with pytest.raises(UserError, match=r"val_annotations\.txt, line 1: class 'n09' has no folder"):
        open_image_folder(tiny_imagenet)


@pytest.mark.parametrize("line", ["", "val_0.JPEG", "val_0.JPEG n01 1 2 3 4"])
def test_a_line_of_the_table_that_makes_no_sense_is_shown(tiny_imagenet: Path, line: str) -> None:
    table = tiny_imagenet / "val/val_annotations.txt"
    table.write_text(f"{line}\n{table.read_text()}")
    with pytest.raises(UserError, match=rf"val_annotations\.txt, line 1: .*{line!r}"):
        open_image_folder(tiny_imagenet)


def test_the_table_may_be_of_any_encoding_but_not_name_an_image_twice(tiny_imagenet: Path) -> None:
    table = tiny_imagenet / "val/val_annotations.txt"
    lines, expected = table.read_text(), open_image_folder(tiny_imagenet).test.names
    for content in ("\ufeff" + lines, lines + "\r\n\r\n"):
        for encoding in ("utf-8", "utf-16"):
            table.write_bytes(content.encode(encoding))
            assert open_image_folder(tiny_imagenet).test.names == expected
    table.write_text(lines + "val_0.JPEG\tn01\n")
    message = r"val_annotations\.txt has 'images/val_0\.JPEG' twice: line 2 and line 4"
    with pytest.raises(UserError, match=message):
        open_image_folder(tiny_imagenet)


def test_images_of_the_table_that_are_missing_are_named(tiny_imagenet: Path) -> None:
    message = r"val: {} of 3 images in val_annotations\.txt are missing: {}; unpack the data"
    (tiny_imagenet / "val/images/val_1.JPEG").unlink()
    with pytest.raises(UserError, match=message.format(1, r"images/val_1\.JPEG")):
        open_image_folder(tiny_imagenet)
    shutil.rmtree(tiny_imagenet / "val/images")
    with pytest.raises(UserError, match=message.format(3, "images/val_2.*")):
        open_test_images(tiny_imagenet)


def test_the_fingerprint_sees_names_labels_and_sizes(cats_and_dogs: Path) -> None:
    def fingerprint() -> str:
        return open_image_folder(cats_and_dogs).fingerprint()

    seen = [fingerprint()]
    assert fingerprint() == seen[0]
    changes: list[Callable[[], object]] = [
        lambda: (cats_and_dogs / "train/dog/b.jpg").rename(cats_and_dogs / "train/dog/d.jpg"),
        lambda: (cats_and_dogs / "train/dog/d.jpg").write_bytes(b"longer than it was before"),
        lambda: (cats_and_dogs / "train/dog/d.jpg").rename(cats_and_dogs / "train/cat/d.jpg"),
        lambda: touch(cats_and_dogs, "val/dog/new.jpg"),
        lambda: (cats_and_dogs / "val/dog/new.jpg").write_bytes(b""),
    ]
    for change in changes:
        change()
        seen.append(fingerprint())
    assert len({*seen}) == 6


def test_the_fingerprint_looks_at_the_files_once(cats_and_dogs: Path) -> None:
    data = open_image_folder(cats_and_dogs)
    alone, before = data.test.fingerprint(), data.fingerprint()
    shutil.rmtree(cats_and_dogs)
    assert data.test.fingerprint() == alone
    assert data.fingerprint() == before
    assert pickle.loads(pickle.dumps(data)) == data


def test_the_fingerprint_sees_the_tables_labels(tiny_imagenet: Path) -> None:
    before = open_image_folder(tiny_imagenet).fingerprint()
    table = tiny_imagenet / "val/val_annotations.txt"
    table.write_text(table.read_text().replace("val_2.JPEG\tn01", "val_2.JPEG\tn02"))
    assert open_image_folder(tiny_imagenet).fingerprint() != before


def test_names_are_sorted_however_the_disk_lists_them(tmp_path: Path) -> None:
    names = [f"train/a/{7 * i % 20:02}.jpg" for i in range(20)]
    touch(tmp_path, *names, "val/a/x.jpg")
    found = open_image_folder(tmp_path).train.names
    assert found == tuple(f"a/{i:02}.jpg" for i in range(20))


def test_the_fingerprint_does_not_depend_on_where_the_folder_is(cats_and_dogs: Path) -> None:
    before = open_image_folder(cats_and_dogs).fingerprint()
    moved = cats_and_dogs.rename(cats_and_dogs.with_name("moved"))
    assert open_image_folder(moved).fingerprint() == before


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_names_need_not_be_utf_8(cats_and_dogs: Path) -> None:
    before = open_image_folder(cats_and_dogs).fingerprint()
    (cats_and_dogs / os.fsdecode(b"val/dog/caf\xe9.jpg")).write_bytes(b"")
    assert open_image_folder(cats_and_dogs).fingerprint() != before


def test_test_images_of_val_in_classes_or_of_no_known_class(cats_and_dogs: Path) -> None:
    data = open_image_folder(cats_and_dogs)
    assert open_test_images(cats_and_dogs) == (data.test, data.classes)
    assert open_test_images(cats_and_dogs / "val") == (data.test, data.classes)
    images, classes = open_test_images(cats_and_dogs / "train/dog/deep/er")
    assert (images.names, images.labels, classes) == (("c.png",), (UNKNOWN,), ())
    shutil.rmtree(cats_and_dogs / "train")
    assert open_test_images(cats_and_dogs) == (data.test, data.classes)
    for name in data.test.names:
        (cats_and_dogs / "val" / name).rename(cats_and_dogs / "val" / name.replace("/", "-"))
    shutil.rmtree(cats_and_dogs / "val/cat")
    shutil.rmtree(cats_and_dogs / "val/dog")
    images, classes = open_test_images(cats_and_dogs)
    assert len(images) == len(data.test)
    assert ({*images.labels}, classes) == ({UNKNOWN}, ())


def test_a_folder_that_is_not_there_is_told_with_its_neighbours(cats_and_dogs: Path) -> None:
    typo = cats_and_dogs.with_name(f"{cats_and_dogs.name}s")
    for opened in (open_image_folder, open_test_images):
        with pytest.raises(UserError) as caught:
            opened(typo)
        assert str(caught.value).startswith(f"{typo}: no such folder; did you mean {cats_and_dogs}")
        with pytest.raises(UserError, match=r"b\.jpg is no folder"):
            opened(cats_and_dogs / "train/dog/b.jpg")


def test_no_test_images_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        open_test_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no images \(\.jpg, "):
        open_test_images(tmp_path)
    (tmp_path / "val").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        open_test_images(tmp_path)


@pytest.mark.parametrize("other", ["test", "validation", None])
def test_the_parts_of_a_data_set_are_no_classes(tmp_path: Path, other: str | None) -> None:
    for part in filter(None, ("train", other)):
        touch(tmp_path, f"{part}/cat/a.jpg", f"{part}/dog/b.jpg")
    with pytest.raises(UserError, match=r"train but no val; expected val/<class>/ beside train"):
        open_test_images(tmp_path)
    assert open_test_images(tmp_path / "train")[1] == ("cat", "dog")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, "bus/a.jpg", "train/b.jpg")
    assert open_test_images(tmp_path)[1] == ("bus", "train")


def test_an_image_is_decoded_and_a_bad_one_named(tmp_path: Path) -> None:
    data = open_image_folder(image_folder(tmp_path, train=2, val=1))
    found = np.asarray(data.train.image(3))
    assert np.array_equal(found, np.asarray(Image.open(tmp_path / "train/class1/001.jpg")))
    assert data.train.spread(2).names == ("class0/000.jpg", "class1/000.jpg")
    assert data.train.spread(9) == data.train
    (tmp_path / "train/class1/001.jpg").write_bytes(b"")
    with pytest.raises(BadImage, match=r"train/class1/001\.jpg"):
        data.train.image(3)


def test_a_turned_photograph_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for part in ("train", "val"):
        (tmp_path / part / "a").mkdir(parents=True)
        picture(60, 40).save(tmp_path / part / "a/x.jpg", exif=exif)
    assert open_image_folder(tmp_path).train.image(0).size == (40, 60)


def test_what_is_passed_over_is_said(cats_and_dogs: Path) -> None:
    touch(cats_and_dogs, *(f"train/dog/{i}.jfif" for i in range(3)), "train/dog/noending")
    os.mkfifo(cats_and_dogs / "train/dog/pipe.jpg")
    (cats_and_dogs / "train/dog/gone.jpg").symlink_to("nowhere.jpg")
    said: list[str] = []
    data = open_image_folder(cats_and_dogs, said.append)
    assert len(data.train) == 4
    endings, irregular = said
    assert f"{cats_and_dogs / 'train'}: 4 files are passed over, as their names do not" in endings
    assert endings.endswith(": 3 with .jfif, 1 with no ending")
    assert irregular.startswith(f"{cats_and_dogs / 'train'}: passed over, as they are no files: ")
    assert "dog/pipe.jpg" in irregular
    assert "dog/gone.jpg" in irregular
    said.clear()
    touch(cats_and_dogs, "flat/a.jpg", "flat/b.txt")
    images, _ = open_test_images(cats_and_dogs / "flat", said.append)
    assert images.names == ("a.jpg",)
    assert said[0].endswith(": 1 with .txt")


def test_nothing_is_said_of_tiny_imagenets_boxes(tmp_path: Path) -> None:
    said: list[str] = []
    open_image_folder(two_classes(tmp_path), said.append)
    assert said == []


def test_test_images_that_are_copies_of_training_images_are_said(cats_and_dogs: Path) -> None:
    touch(cats_and_dogs, "val/dog/a.JPEG")
    said: list[str] = []
    open_image_folder(cats_and_dogs, said.append)
    assert said == []  # another image by the same name
    for name in ("dog/a.JPEG", "cat/x.webp"):
        shutil.copy(cats_and_dogs / "train" / name, cats_and_dogs / "val" / name)
    touch(cats_and_dogs, "val/dog/b.jpg")
    open_image_folder(cats_and_dogs, said.append)
    (line,) = said
    assert "of 3 files with the same name in both, 2 are the same" in line


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_class_without_images_is_said(cats_and_dogs: Path, part: str) -> None:
    touch(cats_and_dogs, "train/fox/a.jpg", "val/fox/a.jpg")
    (cats_and_dogs / part / "fox/a.jpg").rename(cats_and_dogs / part / "fox/a.jfif")
    said: list[str] = []
    data = open_image_folder(cats_and_dogs, said.append)
    assert data.classes == ("cat", "dog", "fox")
    assert f"{cats_and_dogs / part}: 1 of 3 classes have no images: fox" in said


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("train/dog/all", ".."),
        ("train/dog/deep/all", "../.."),
        ("train/dog/self", "."),
        ("train/cat/top", "../.."),
        ("train/all", "."),
        ("val/dog/all", ".."),
    ],
)
def test_a_link_to_a_folder_above_lists_nothing_twice(
    cats_and_dogs: Path, link: str, target: str
) -> None:
    (cats_and_dogs / link).symlink_to(target)
    with pytest.raises(UserError, match=rf"{link} links to a folder that it lies in"):
        open_image_folder(cats_and_dogs)


def test_links_in_a_circle_end(
    cats_and_dogs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    (one / "to").symlink_to(two)
    (two / "to").symlink_to(one)
    (cats_and_dogs / "train/dog/away").symlink_to(one)
    with pytest.raises(UserError, match=r"away/to/to links to a folder that it lies in"):
        open_image_folder(cats_and_dogs)


def test_folders_and_images_may_be_links(
    cats_and_dogs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = open_image_folder(cats_and_dogs)
    away = tmp_path_factory.mktemp("away")
    (cats_and_dogs / "train/dog").rename(away / "dog")
    (cats_and_dogs / "train/dog").symlink_to(away / "dog")
    (away / "dog/b.jpg").rename(away / "b.jpg")
    (away / "dog/b.jpg").symlink_to(away / "b.jpg")
    assert open_image_folder(cats_and_dogs) == before


@pytest.mark.parametrize("folder", ["imagenet", "ILSVRC2012"])
def test_imagenet_is_told_by_what_it_holds_not_by_its_folders_name(folder: str) -> None:
    classes = tuple(f"n{i:08}" for i in range(1_000))
    train, val = (ImageFiles(Path(), ("x",) * n, (0,) * n) for n in (1_281_167, 50_000))
    whole = ImageFolder(train, val, classes, f"/data/{folder}")
    assert whole.source == "ImageNet"
    fewer = ImageFiles(Path(), ("x",) * 1_000, (0,) * 1_000)
    for other in (
        dataclasses.replace(whole, train=fewer),
        dataclasses.replace(whole, test=fewer),
        dataclasses.replace(whole, classes=tuple(map(str, range(1_000)))),
    ):
        assert other.source == f"{folder} (1000 classes)"
