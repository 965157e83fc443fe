from pathlib import Path

import pytest
from small_imagenet import Ilsvrc2012

from deepres.data.imagenet import (
    ILSVRC2012,
    Counts,
    image_folders,
    load_classes,
    save_classes,
    verify_imagenet,
)
from deepres.data.imagenet_archives import prepare_imagenet
from deepres.errors import UserError


@pytest.fixture
def prepared(ilsvrc2012: Ilsvrc2012, tmp_path: Path) -> Path:
    prepare_imagenet(ilsvrc2012.folder, tmp_path / "imagenet", print, expected=ilsvrc2012.counts)
    return tmp_path / "imagenet"


COUNTS = Counts(classes=3, train=15, val=6, test=4)


def test_the_whole_set_is_the_papers() -> None:
    assert vars(ILSVRC2012) == {
        **{"classes": 1_000, "train": 1_281_167},
        **{"val": 50_000, "test": 100_000},
    }
    assert ILSVRC2012.val_per_class == 50


def test_wrong_counts_are_named(prepared: Path) -> None:
    assert verify_imagenet(prepared, COUNTS) == []
    train, val = prepared / "train", prepared / "val"
    (train / "n01000000/n01000000_7.JPEG").unlink()
    (val / "n03000000").rename(val / "n04000000")
    (train / ".n02000000.part").mkdir()
    (train / "n02000000/n02000000_0.JPEG").write_bytes(b"")
    (train / "n02000000/a.txt").write_text("hello")
    (train / "n02000000/._n02000000_7.JPEG").write_bytes(b"of macOS")
    (val / "ILSVRC2012_val_00000009.JPEG").write_bytes(b"flat")
    (prepared / "test/ILSVRC2012_test_00000001.JPEG").unlink()
    assert verify_imagenet(prepared, COUNTS) == [
        f"{train}/n02000000/n02000000_0.JPEG is empty",
        f"{train}/n02000000 holds what is no .JPEG file: ._n02000000_7.JPEG, a.txt",
        f"{train} holds folders that are no classes: .n02000000.part",
        f"{train} has too few or too many images of some classes: n01000000 has 4, expected 5",
        f"{train} has 14 images, expected 15",
        f"{val} holds files outside its classes' folders: ILSVRC2012_val_00000009.JPEG",
        f"{val} lacks 1 of 3 classes: n03000000",
        f"{val} holds folders that are no classes: n04000000",
        f"{val} has 4 images, expected 6",
        f"{prepared}/test has 3 images, expected 4",
    ]


def test_figures_of_classes_that_do_not_add_up_are_not_held_against_files(prepared: Path) -> None:
    more = Counts(classes=3, train=16, val=6, test=4)
    train = prepared / "train"
    assert verify_imagenet(prepared, more) == [f"{train} has 15 images, expected 16"]


def test_a_swap_between_classes_is_noticed(prepared: Path) -> None:
    train = prepared / "train"
    (train / "n01000000/n01000000_7.JPEG").rename(train / "n02000000/n01000000_7.JPEG")
    assert verify_imagenet(prepared, COUNTS) == [
        f"{train} has too few or too many images of some classes: "
        "n01000000 has 4, expected 5, n02000000 has 5, expected 4"
    ]


def test_without_the_list_of_classes_totals_are_checked(prepared: Path) -> None:
    path = prepared / "ilsvrc2012.json"
    path.unlink()
    (prepared / "val/.n01000000.part").mkdir()
    (prepared / "train/n09000000").mkdir()
    assert verify_imagenet(prepared, COUNTS) == [
        f"{path} is missing; run: deepres data imagenet prepare",
        f"{prepared}/train has 4 classes, expected 3",
        f"{prepared}/val holds folders that are no classes: .n01000000.part",
    ]
    for content in ("[]", '{"n01000000": {"id": 1}}', '{"n01000000": 1}'):
        path.write_text(content)
        with pytest.raises(UserError, match="does not list classes; delete it and run"):
            load_classes(prepared)


def test_a_list_of_other_classes_is_noticed(prepared: Path) -> None:
    classes = load_classes(prepared)
    del classes["n01000000"]
    save_classes(prepared, classes)
    path = prepared / "ilsvrc2012.json"
    assert verify_imagenet(prepared, COUNTS)[0] == f"{path} lists 2 classes, expected 3"


def test_long_lists_are_cut(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    for i in range(30):
        (tmp_path / "val" / f"{i:02}.JPEG").touch()
    problems = verify_imagenet(tmp_path, COUNTS)
    assert problems[1] == f"{tmp_path}/train is missing, expected 15 images in 3 classes"
    assert problems[2].endswith("18.JPEG, 19.JPEG and 10 more")


def test_folders_of_images(prepared: Path) -> None:
    names = [str(folder.relative_to(prepared)) for folder in image_folders(prepared)]
    wnids = ["n01000000", "n02000000", "n03000000"]
    assert names == [*(f"{p}/{wnid}" for p in ("train", "val") for wnid in wnids), "test"]
