"""deepres detect predict: what a trained detector finds in image files."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from deepres.cli.detection import improvements_of
from deepres.cli.picture_files import draw_each, save_drawn, shrunk
from deepres.cli.terminal import print_table, say, show
from deepres.errors import UserError
from deepres.files import MARK, atomic_write
from deepres.provenance import installed_version
from deepres.runtime import make_repeatable, resolve_device

if TYPE_CHECKING:  # not everyone has torchvision
    from deepres.data.detection.records import Detections


def call(options: argparse.Namespace) -> int:
    """Draw and write what is found in each image; unreadable files are named at the end."""
    if not 0 <= options.min_score <= 1:
        raise UserError(f"--min-score must be in [0, 1], got {options.min_score}")
    from deepres.data.detection.loading import as_tensor
    from deepres.detection.drawing import draw_detections
    from deepres.detection.inference import detect
    from deepres.detection.weights import load_detector

    device = resolve_device(options.device)
    make_repeatable(device)
    detector = load_detector(options.weights, device)
    least = min(detector.settings.score_threshold, options.min_score)
    detector.settings = dataclasses.replace(detector.settings, score_threshold=least)
    improvements = improvements_of(options, detector)

    def look(path: Path, image: Image.Image, place: Path) -> None:
        size, image = image.size, shrunk(image)
        (everything,) = detect([detector], [as_tensor(image)], improvements)
        found = at_least(everything, options.min_score)
        names = [detector.classes[label - 1] for label in found.labels.tolist()]
        picture = draw_detections(
            image, found.boxes, names, found.scores, found.masks, detector.classes
        )
        if size != image.size:
            say(f"{path} is large: objects are found and drawn on {image.width}×{image.height}")
            found = in_pixels_of(size, image.size, found)
        save_drawn(picture, place)
        described = {
            MARK.decode(): installed_version(),  # tells that the file is ours
            "image": str(path),
            "width": size[0],
            "height": size[1],
            "weights": str(options.weights),
            "objects": as_json(found, names, size),
        }
        with atomic_write(place.with_suffix(".json")) as file:
            file.write(json.dumps(described, indent=1).encode() + b"\n")
        rows = [
            [name, f"{100 * score:.1f} %", *(f"{side:.0f}" for side in box)]
            for name, score, box in zip(
                names, found.scores.tolist(), found.boxes.tolist(), strict=True
            )
        ]
        if rows:
            show(f"{path}: {len(rows)} found, drawn in {place}")
            print_table("", ["class", "score", "x1", "y1", "x2", "y2"], rows)
        else:
            show(f"{path}: {nothing_found(options.min_score, least, everything, detector.classes)}")

    draw_each(options.images, options.out, look, beside=[".json"])
    return 0


def nothing_found(
    asked: float, least: float, everything: "Detections", classes: Sequence[str]
) -> str:
    """Say which score was asked for, and what came nearest to it, of all above the ``least``."""
    words = f"nothing found with a score of {asked:g} or more (--min-score)"
    if not len(everything.scores):
        return f"{words}, nor with more than {least:g}"
    name, score = classes[int(everything.labels[0]) - 1], float(everything.scores[0])
    return f"{words}; the surest is {name}, {score:.3f}"


def in_pixels_of(
    size: tuple[int, int], shrunk_to: tuple[int, int], found: "Detections"
) -> "Detections":
    """Return what was found on an image that was shrunk with boxes in the pixels of the whole."""
    across, down = size[0] / shrunk_to[0], size[1] / shrunk_to[1]
    scales = torch.tensor([across, down, across, down])
    return dataclasses.replace(found, boxes=found.boxes * scales)


def at_least(found: "Detections", score: float) -> "Detections":
    """Return the detections with this score or a higher one."""
    from deepres.data.detection.records import Detections

    kept = found.scores >= score
    masks = None if found.masks is None else found.masks[kept]
    return Detections(found.boxes[kept], found.scores[kept], found.labels[kept], masks)


def as_json(found: "Detections", names: list[str], size: tuple[int, int]) -> list[dict[str, Any]]:
    """Return detections as JSON has them: boxes in pixels, masks as COCO's run lengths.

    Masks are those of an image of ``size``, (width, height), or of a shrunk one.
    """
    objects: list[dict[str, Any]] = [
        {"class": name, "score": score, "box": box}
        for name, score, box in zip(names, found.scores.tolist(), found.boxes.tolist(), strict=True)
    ]
    if found.masks is not None:
        from deepres.evaluation.detection.coco import compressed

        for each, mask in zip(objects, found.masks, strict=True):
            if mask.shape != (size[1], size[0]):
                large = Image.fromarray(mask.numpy()).resize(size, Image.Resampling.NEAREST)
                mask = torch.from_numpy(np.array(large))
            each["mask"] = compressed(mask)
    return objects
