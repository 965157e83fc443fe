"""Detections in the benchmarks' official formats: written for submission, and read back.

VOC: a text file for each class, a line for each box. ImageNet DET: one text file. COCO: one JSON
file. Boxes are converted to each one's way of counting pixels.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from deepres.data.detection.checks import Fault, number
from deepres.data.detection.coco_file import CocoId, find
from deepres.data.detection.outlines import check_runs
from deepres.data.detection.records import AnnotatedImage, Detections, DetectionSet
from deepres.data.text_lists import read_lines
from deepres.errors import UserError, no_such
from deepres.evaluation.detection.coco import CocoDetection, box_around, coco_ids
from deepres.files import atomic_write, not_hidden, read_json
from deepres.json_shape import misfit

COMPETITION = "comp4_det"
"""VOC's name for detection by methods that may be trained on any other data."""
IN_NO_FILE_NAME = "/\\\0"

VOC_LINE = "image score x1 y1 x2 y2"
DET_LINE = "image class score x1 y1 x2 y2"
Line = tuple[str, int, float, list[float]]
"""Image, label, score, and the box as continuous corners."""


def write_voc(
    folder: Path, dataset: DetectionSet, found: Mapping[str, Detections], split: str
) -> None:
    """Write comp4_det_<split>_<class>.txt for each class, into ``folder``.

    A line is ``image score x1 y1 x2 y2``, with the first and the last pixel, counted from 1.

    Args:
        folder: for VOC's server, results/VOC2012/Main in a .tar.gz.
        dataset: says the classes and the order of the images.
        found: by image id.
        split: the set's name there: test, or val.

    Raises:
        UserError: as by :func:`check_voc_classes`, or nothing can be written there.
    """
    check_voc_classes(dataset.classes)
    lines: dict[int, list[str]] = defaultdict(list)
    for image, label, score, (x1, y1, x2, y2) in _lines(dataset, found):
        corners = _numbers(x1 + 1, y1 + 1, x2, y2)
        lines[label].append(f"{image} {_numbers(score)} {corners}\n")
    for label, name in enumerate(dataset.classes, 1):
        with atomic_write(folder / f"{COMPETITION}_{split}_{name}.txt") as file:
            file.write("".join(lines[label]).encode())


def check_voc_classes(classes: Sequence[str]) -> None:
    """Make sure that files can be called by the classes. Ask before a test, for it may take hours.

    Raises:
        UserError: one's file would be elsewhere.
    """
    for name in classes:
        if any(each in name for each in IN_NO_FILE_NAME):
            raise UserError(
                f"class {name!r} has a / or \\ in its name, and VOC's result files are called by "
                f"their classes: {COMPETITION}_<set>_<class>.txt; rename it in the data, and train "
                "anew"
            )


def read_voc(folder: Path, dataset: DetectionSet) -> dict[str, Detections]:
    """Read what :func:`write_voc`, or anyone's program for VOC, has written.

    Raises:
        UserError: a class's file is missing, there are several sets' files, or a line is wrong; or
            as by :func:`check_voc_classes`.
    """
    check_voc_classes(dataset.classes)
    known = {image.id for image in dataset.images}
    split = _only_split(folder, dataset.classes)
    lines: list[Line] = []
    for label, name in enumerate(dataset.classes, 1):
        file = folder / f"{COMPETITION}_{split}_{name}.txt"
        lines += _parsed(file, VOC_LINE, partial(_voc_line, label=label, known=known))
    return _by_image(lines)


def _voc_line(line: str, label: int, known: Container[str]) -> Line:
    image, *rest = line.rsplit(maxsplit=5)  # there may be spaces in its name
    score, x1, y1, x2, y2 = (float(word) for word in rest)
    if image not in known:
        raise ValueError(f"image {image!r} is not in the set")
    return image, label, score, [x1 - 1, y1 - 1, x2, y2]


def write_imagenet_det(path: Path, dataset: DetectionSet, found: Mapping[str, Detections]) -> None:
    """Write one file for ILSVRC's server: ``image class score x1 y1 x2 y2`` a line.

    Images are numbered in the set's order, from 1; classes by their official numbers; the first
    and the last pixel are counted from 0.
    """
    numbers = {image.id: number for number, image in enumerate(dataset.images, 1)}
    with atomic_write(path) as file:
        for image, label, score, (x1, y1, x2, y2) in _lines(dataset, found):
            corners = _numbers(x1, y1, x2 - 1, y2 - 1)
            file.write(f"{numbers[image]} {label} {_numbers(score)} {corners}\n".encode())


def read_imagenet_det(path: Path, dataset: DetectionSet) -> dict[str, Detections]:
    """Read a file in ILSVRC's format.

    Raises:
        UserError: it is missing, or a line is wrong.
    """
    ids = {float(number): image.id for number, image in enumerate(dataset.images, 1)}
    parse = partial(_imagenet_line, ids=ids, classes=len(dataset.classes))
    return _by_image(_parsed(path, DET_LINE, parse))


def _imagenet_line(line: str, ids: Mapping[float, str], classes: int) -> Line:
    number, label, score, x1, y1, x2, y2 = (float(word) for word in line.split())
    if number not in ids:
        raise ValueError(f"image {number:g} is none of 1 to {len(ids)}")
    if label not in range(1, classes + 1):
        raise ValueError(f"class {label:g} is none of 1 to {classes}")
    return ids[number], int(label), score, [x1, y1, x2 + 1, y2 + 1]


def write_coco(path: Path, results: Sequence[CocoDetection]) -> None:
    """Write COCO's result file: entries as :func:`..coco.as_coco` makes them."""
    with atomic_write(path) as file:
        file.write(json.dumps(results, separators=(",", ":")).encode())


def read_coco(path: Path, dataset: DetectionSet) -> list[CocoDetection]:
    """Read a result file of COCO's; what has a mask and no box gets the box around its mask.

    Ids are returned as the set's file has them: 1 for "1", if that is how the image is called.

    Raises:
        UserError: it is missing, not COCO's, or an entry is wrong.
    """
    results = read_json(path)
    if not isinstance(results, list):
        raise UserError(f"{path} is not a result file of COCO's: a list of detections was expected")
    ids = coco_ids(dataset)
    images = {image.id: (ids.images[image.id], image) for image in dataset.images}
    categories = {str(each): each for each in ids.categories}
    entries = []
    for place, each in enumerate(results, 1):
        try:
            entries.append(_coco_entry(each, images, categories))
        except (ValueError, Fault) as error:
            raise UserError(
                f"{path}, detection {place}: {error}; expected image_id, category_id, score, and "
                "bbox [x, y, width, height] or segmentation (compressed run lengths)"
            ) from error
    return entries


def _coco_entry(
    entry: Any,
    images: Mapping[str, tuple[CocoId, AnnotatedImage]],
    categories: Mapping[str, CocoId],
) -> CocoDetection:
    if wrong := misfit(entry, {}):
        raise ValueError(wrong)
    needed = ("image_id", "category_id", "score", *(() if "segmentation" in entry else ("bbox",)))
    if lacking := [key for key in needed if key not in entry]:
        raise ValueError(f"it has no {lacking[0]}")
    if (known := find(images, entry["image_id"])) is None:
        raise ValueError(f"image {entry['image_id']} is not in the set")
    if (category := find(categories, entry["category_id"])) is None:
        raise ValueError(f"category {entry['category_id']} is not in the set")
    image_id, image = known
    score = number(entry["score"])
    if not math.isfinite(score):
        raise ValueError(f"{entry['score']!r} is no score")
    read: CocoDetection = {"image_id": image_id, "category_id": category, "score": score}
    if "segmentation" in entry:
        mask = entry["segmentation"]
        if wrong := misfit(mask, {"size": list, "counts": (str, list)}, "segmentation"):
            raise ValueError(wrong)
        read["segmentation"] = mask
        if mask["size"] != [image.height, image.width]:
            raise ValueError("its segmentation is not of the image's [height, width]")
        if not isinstance(mask["counts"], str):
            raise ValueError("its run lengths are not compressed")
        check_runs(mask["counts"], image.width, image.height)
    box = entry["bbox"] if "bbox" in entry else box_around(mask)
    read["bbox"] = [number(side) for side in box] if isinstance(box, list) else []
    if len(read["bbox"]) != 4 or not all(map(math.isfinite, read["bbox"])):
        raise ValueError(f"{box} is no box")
    return read


def _lines(dataset: DetectionSet, found: Mapping[str, Detections]) -> Iterable[Line]:
    for image in dataset.images:
        if (what := found.get(image.id)) is not None:
            parts = (what.labels.tolist(), what.scores.tolist(), what.boxes.double().tolist())
            for label, score, box in zip(*parts, strict=True):
                yield image.id, label, score, box


def _numbers(*values: float) -> str:
    """Enough digits for what is read to be what was written, in 32 bits."""
    return " ".join(f"{value:.9g}" for value in values)


def _only_split(folder: Path, classes: Sequence[str]) -> str:
    """Return the one set of which there is a file for each class."""
    if not folder.is_dir():
        raise UserError(no_such("folder", folder, "VOC's result files were expected in it"))
    stems = {path.stem.removeprefix(f"{COMPETITION}_") for path in not_hidden(folder, "*.txt")}
    splits = [
        {stem.removesuffix(f"_{name}") for stem in stems if stem.endswith(f"_{name}")}
        for name in classes
    ]
    complete = set.intersection(*splits)
    if len(complete) == 1:
        return complete.pop()
    if complete:
        raise UserError(
            f"{folder} has result files of several sets ({', '.join(sorted(complete))}); "
            "move all but one elsewhere"
        )
    lacking = next((name for name, each in zip(classes, splits, strict=True) if not each), None)
    raise UserError(
        f"{folder} lacks {COMPETITION}_<set>_{lacking or '<class>'}.txt; one file was expected "
        f"for each of the classes {', '.join(classes)}"
    )


def _parsed(path: Path, form: str, parse: Callable[[str], Line]) -> list[Line]:
    lines = []
    for place, line in enumerate(read_lines(path), 1):
        try:
            if line:
                lines.append(parse(line))
                _check_finite([lines[-1][2], *lines[-1][3]])
        except ValueError as error:
            raise UserError(f"{path}, line {place}: {error}; expected {form!r}") from error
    return lines


def _check_finite(values: Sequence[float]) -> None:
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"{values} are not all numbers")


def _by_image(lines: Sequence[Line]) -> dict[str, Detections]:
    gathered: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        gathered[line[0]].append(line)
    return {image: _detections(each) for image, each in gathered.items()}


def _detections(lines: Sequence[Line]) -> Detections:
    """Return one image's, the most certain first; no two scores become alike that were not."""
    ordered = sorted(lines, key=lambda line: -line[2])
    return Detections(
        torch.tensor([box for _, _, _, box in ordered], dtype=torch.float32),
        torch.tensor([score for _, _, score, _ in ordered], dtype=torch.float64),
        torch.tensor([label for _, label, _, _ in ordered], dtype=torch.int64),
    )
