"""The benchmarks' sets by name, and a user's own."""

from dataclasses import dataclass, replace
from pathlib import Path

from deepres.data.detection.checks import BadBoxes, Faults, Say
from deepres.data.detection.coco import read_coco
from deepres.data.detection.imagenet_det import read_imagenet_det
from deepres.data.detection.imagenet_det_classes import DET_CLASSES
from deepres.data.detection.picture_sizes import checked_sizes
from deepres.data.detection.records import AnnotatedImage, DetectionSet
from deepres.data.detection.voc import own_classes, read_voc, voc_splits
from deepres.data.detection.voc_classes import VOC_CLASSES
from deepres.data.text_lists import check_unique
from deepres.errors import UserError, no_such, unknown_name
from deepres.files import not_hidden
from deepres.torchrun import is_leader

VOC_LISTS = ("trainval", "test")
"""What a folder in VOC's layout is trained and tested on, if nobody says."""


@dataclass(frozen=True)
class VocSet:
    """A set made of VOC's."""

    title: str
    parts: tuple[tuple[int, str], ...]
    """Of which year and which list."""
    annotated: bool = True


VOC_SETS = {
    **{
        f"voc{year}-{split}": VocSet(f"VOC {year} {split}", ((year, split),))
        for year in (2007, 2012)
        for split in ("train", "val", "trainval", "test")
    },
    # The organisers keep what is on these images, and score result files.
    "voc2012-test": VocSet("VOC 2012 test", ((2012, "test"),), annotated=False),
    "voc07+12": VocSet("VOC 07+12", ((2007, "trainval"), (2012, "trainval"))),
    "voc07++12": VocSet("VOC 07++12", ((2007, "trainval"), (2007, "test"), (2012, "trainval"))),
}
"""§4.3 trains on 07+12 to test on 2007, and on 07++12 to test on 2012."""


@dataclass(frozen=True)
class CocoSet:
    """A set made of COCO's."""

    title: str
    parts: tuple[str, ...]
    """What its files and folders are called: train2014."""
    annotated: bool = True

    def files(self, folder: Path) -> dict[Path, Path]:
        """Return each part's JSON file, and the folder of its pictures."""
        if self.annotated:
            return {
                folder / f"annotations/instances_{part}.json": folder / part for part in self.parts
            }
        return {  # test-dev is a part of test, whose pictures lie together
            folder / f"annotations/image_info_{part}.json": folder / part.replace("-dev", "")
            for part in self.parts
        }


TEST_DEV = CocoSet("COCO 2015 test-dev", ("test-dev2015",), annotated=False)
COCO_SETS = {
    **{
        f"coco{year}-{split}": CocoSet(f"COCO {year} {split}", (f"{split}{year}",))
        for year in (2014, 2017)
        for split in ("train", "val")
    },
    "coco2014-trainval": CocoSet("COCO 2014 trainval", ("train2014", "val2014")),
    "coco-test-dev": TEST_DEV,
    "coco2015-test-dev": TEST_DEV,
    "coco2017-test-dev": CocoSet("COCO 2017 test-dev", ("test-dev2017",), annotated=False),
}
"""80k and 40k images in 2014, as the paper has them; 118k and 5k, of the same ones, in 2017."""
DET_SETS = {
    **{f"imagenet-det-{split}": (split,) for split in ("train", "val", "val1", "val2", "test")},
    "imagenet-det-train+val1": ("train", "val1"),
}
"""Appendix B trains on train and val1, to test on val2 and test."""
SETS = (*VOC_SETS, *COCO_SETS, *DET_SETS)


def open_detection_set(
    name: str,
    folder: Path,
    bad_boxes: BadBoxes = "fail",
    say: Say = print,
    *,
    pictures: bool = True,
) -> DetectionSet:
    """Read all annotations of a set, and check every one.

    Args:
        name: one of ``SETS``; or, of a folder with classes of its own, a list of images in
            ImageSets/Main (VOC's layout) or the <name> of annotations/instances_<name>.json
            (COCO's, its images in the folder <name>).
        folder: what was unpacked: it holds VOCdevkit, or COCO's annotations, or ImageNet's
            ImageSets; VOCdevkit itself; or the user's own.
        bad_boxes: whether objects that cannot be right (boxes of zero size, reversed, outside
            the image, or of NaN, outlines that cannot be drawn, unknown classes) and pictures of
            other sizes than annotated stop the reading or are left out.
        say: receives a line for each kind of what was left out.
        pictures: whether the pictures will be looked at; else their sizes are not checked.

    Raises:
        UserError: the name is unknown, a file is missing or malformed, or, with "fail", objects
            or pictures cannot be right; the first ones are named, by file and number.
        BadImage: a picture cannot be read.
    """
    if not folder.is_dir():
        raise UserError(no_such("folder", folder))
    faults = Faults()
    data = _read(name, folder, faults)
    data = replace(data, dropped=faults.settle(data.name, bad_boxes, say))
    return checked_sizes(data, bad_boxes, say, shown=is_leader()) if pictures else data


def official_split(name: str) -> str:
    """Return what a benchmark calls a set in the names of result files: test, val2017."""
    if name in COCO_SETS:
        return "+".join(COCO_SETS[name].parts)
    return name.rpartition("-")[2]


def _read(name: str, folder: Path, faults: Faults) -> DetectionSet:
    if name in VOC_SETS:
        return _voc(VOC_SETS[name], folder, faults)
    if name in COCO_SETS:
        return _coco(COCO_SETS[name], folder, faults)
    if name in DET_SETS:
        return _imagenet_det(DET_SETS[name], folder, faults)
    if name in voc_splits(folder):
        classes = own_classes(folder)
        images = read_voc(folder, name, classes, faults)
        return _set(f"{folder.name} {name}", classes, images, folder)
    files = not_hidden(folder / "annotations", "*.json")
    if folder / "annotations" / f"instances_{name}.json" in files:  # it may be a broken link
        return _coco(CocoSet(f"{folder.name} {name}", (name,)), folder, faults)
    own = [path.stem.removeprefix("instances_") for path in files]
    lists = [*voc_splits(folder), *own]
    if lists and name in VOC_LISTS:
        raise UserError(
            f"{folder} has no list {name}, but {', '.join(lists)}; to train, say which: "
            "--set train_set=LIST --set test_set=LIST, or test_set=none"
        )
    raise unknown_name("detection set", name, [*SETS, *lists])


def _voc(wanted: VocSet, folder: Path, faults: Faults) -> DetectionSet:
    images: list[AnnotatedImage] = []
    for year, split in wanted.parts:
        part = _voc_folder(folder, year)
        images += read_voc(part, split, VOC_CLASSES, faults, annotated=wanted.annotated)
    check_unique(((image.id, image.path) for image in images), f"{wanted.title} has")
    data = _set(wanted.title, VOC_CLASSES, images, folder)
    return replace(data, annotated=wanted.annotated)


def _voc_folder(folder: Path, year: int) -> Path:
    places = (folder / "VOCdevkit" / f"VOC{year}", folder / f"VOC{year}", folder)
    for place in places:
        if place.name == f"VOC{year}" and place.is_dir():
            return place
    expected = places[1] if folder.name == "VOCdevkit" else places[0]
    raise UserError(f"{folder} has no VOC{year}; expected {expected}")


def _coco(wanted: CocoSet, folder: Path, faults: Faults) -> DetectionSet:
    files = wanted.files(folder)
    classes, images = read_coco(files, faults, annotated=wanted.annotated)
    data = _set(wanted.title, classes, images, folder)
    return replace(data, annotated=wanted.annotated, annotations=tuple(files))


def _imagenet_det(splits: tuple[str, ...], folder: Path, faults: Faults) -> DetectionSet:
    known = splits != ("test",)
    place = folder / "ILSVRC" if (folder / "ILSVRC").is_dir() else folder
    images = read_imagenet_det(place, splits, faults, annotated=known)
    title = f"ImageNet DET {' + '.join(splits)}"
    data = _set(title, tuple(DET_CLASSES.values()), images, folder)
    return replace(data, annotated=known)


def _set(
    title: str, classes: tuple[str, ...], images: list[AnnotatedImage], folder: Path
) -> DetectionSet:
    return DetectionSet(title, classes, tuple(images), str(folder.resolve()))
