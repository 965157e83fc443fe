"""The bootstrap of average precision, against data sets in which images really are repeated."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from annotated_pictures import Corners, coco_folder, detections, made_up_set
from scored_detections import scored, scored_by_coco

from deepres.data.detection.records import Detections, DetectionSet
from deepres.data.detection.splits import open_detection_set
from deepres.evaluation.detection.resampling import (
    DRAWS,
    ClassMatches,
    Floats,
    Ints,
    area,
    draws,
    resampled_precisions,
)
from deepres.evaluation.detection.rules import Rule

IMAGES = 12
RULES: list[Rule] = ["11-point", "area", "imagenet-det", "coco"]


def some_set(
    folder: Path, rule: Rule, copies: Ints
) -> tuple[DetectionSet, Mapping[str, Detections]]:
    """Objects of two classes and a crowd, and what was found; each image as often as ``copies``."""
    random = np.random.default_rng(1)
    objects: dict[int, list[tuple[int, Corners]]] = {}
    found: dict[str, Detections] = {}
    for i, times in enumerate(copies.tolist()):
        corners = random.uniform(0, 60, (4, 2)).round()
        boxes: list[Corners] = [(x, y, x + 30, y + 30) for x, y in corners.tolist()]
        there = [(1 + k % 2, box) for k, box in enumerate(boxes[: 1 + i % 4])]
        moved = [
            (x + d, y, x + 30 + d, y + 30)
            for (x, y, *_), d in zip(boxes, (1, 4, 9, 2), strict=True)
        ]
        scores = random.permutation(40)[:8] / 40 + i / 1_000  # no two are equal
        labelled = [(1 + k % 2, box) for k, box in enumerate([*moved, *boxes])]
        for copy in range(times):
            name = 100 * i + copy + 1
            objects[name] = there
            found[str(name)] = detections(
                *((s, label, box) for s, (label, box) in zip(scores, labelled, strict=True))
            )
    crowds = [name for name in objects if name // 100 % 3 == 2]
    if rule != "coco":
        named = {str(name): each for name, each in objects.items()}
        return made_up_set(named, ignored={str(name): [0] for name in crowds}), found
    annotated = {
        name: [
            {
                "category_id": label,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "iscrowd": int(name in crowds and not k),
            }
            for k, (label, (x1, y1, x2, y2)) in enumerate(each)
        ]
        for name, each in objects.items()
    }
    made = coco_folder(folder, "val2017", annotated, {1: "a", 2: "b"}, size=(100, 100))
    return open_detection_set("coco2017-val", made), found


@pytest.mark.parametrize("rule", RULES)
def test_an_image_drawn_twice_counts_as_two(tmp_path: Path, rule: Rule) -> None:
    """The numbers are those that the benchmark's own program gives to repeated images."""
    once = np.ones(IMAGES, dtype=np.int64)
    drawn = np.random.default_rng(2).integers(0, 4, IMAGES)
    result = scored(*some_set(tmp_path / "once", rule, once), rule)
    ours = result.resampled(np.stack([once, drawn]))
    repeated = scored(*some_set(tmp_path / "drawn", rule, drawn), rule)
    for key, values in ours.items():
        theirs = [each.noted[key] for each in (result, repeated)]
        assert values == pytest.approx(theirs)
        assert abs(theirs[0] - theirs[1]) > 0.1


def test_masks_are_resampled_as_boxes_are(tmp_path: Path) -> None:
    outline = [[5.0, 5.0, 45.0, 5.0, 45.0, 35.0, 5.0, 35.0]]
    brush = {"category_id": 1, "bbox": [5, 5, 40, 30], "segmentation": outline}
    folder = coco_folder(tmp_path, "val2017", {1: [brush], 2: [brush]}, {1: "a"})
    data = open_detection_set("coco2017-val", folder)
    full = np.ones((1, 40, 60), dtype=bool)
    found = dataclasses.replace(detections((0.9, 1, (5, 5, 45, 35))), masks=torch.from_numpy(full))
    result = scored_by_coco(data, {"1": found}, masks=True)
    ours = result.resampled(np.array([[1, 1], [2, 0]]))
    assert set(ours) == {"mask_map_50_pct", "mask_map_pct"}
    assert ours["mask_map_50_pct"][0] == pytest.approx(result.map_50_pct)


def test_a_class_that_is_not_drawn_is_left_out_of_the_mean() -> None:
    dataset = made_up_set({"x": [(1, (0, 0, 9, 9))], "y": [(2, (0, 0, 9, 9))], "z": []})
    result = scored(dataset, {"x": detections((1, 1, (0, 0, 9, 9)))}, "area")
    drawn = result.resampled(np.array([[1, 1, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3]]))
    assert drawn["map_50_pct"].tolist() == pytest.approx([50, 100, 0, np.nan], nan_ok=True)


def test_draws_depend_on_the_number_of_images_alone() -> None:
    counts = draws(50)
    assert counts.shape == (DRAWS, 50)
    assert (counts.sum(1) == 50).all()
    assert (counts == draws(50)).all()
    # A literal: precisions that are kept with their draws are compared with new ones draw by draw.
    assert counts[-1, :10].tolist() == [0, 0, 0, 0, 1, 3, 3, 0, 1, 0]
    assert counts.std() == pytest.approx(1, abs=0.05)  # of a binomial of 50 times 1/50


def detector(random: np.random.Generator, images: int, skill: Floats) -> ClassMatches:
    """A class's objects, up to three an image, and detections whose scores tell little of them.

    ``skill`` (images,) is how likely an object is found, which images have in common.
    """
    objects = np.arange(images) % 4
    image = np.repeat(np.arange(images), objects + 2)  # and two more detections on each
    of_object = np.concatenate([np.arange(k + 2) < k for k in objects])
    right = of_object & (random.random(len(image)) < skill[image])
    scores = random.normal(0.8 * right + skill[image], 0.5)
    order = np.argsort(-scores)
    right = right[order][None]
    return ClassMatches(objects, image[order], right, np.zeros_like(right))


def precision(classes: list[ClassMatches]) -> float:
    once = np.ones((1, len(classes[0].objects)), dtype=np.int64)
    return float(resampled_precisions(classes, area, once)[0, 0])


def test_the_standard_error_covers_the_truth() -> None:
    """Of 200 test sets from one source 95 % of the intervals should hold the precision on it all.

    Of two detectors that are alike, 5 % should be told apart by their differences, draw by draw.
    """
    random = np.random.default_rng(0)
    source = random.beta(2, 2, 40_000)
    truth = precision([detector(random, len(source), source) for _ in range(2)])
    counts = draws(150)
    held, apart = [], []
    for _ in range(200):
        skill = random.choice(source, 150)
        first, second = ([detector(random, 150, skill) for _ in range(2)] for _ in range(2))
        resampled = [resampled_precisions(each, area, counts)[:, 0] for each in (first, second)]
        own, other = precision(first), precision(second)
        held.append(abs(own - truth) < 1.96 * resampled[0].std())
        apart.append(abs(own - other) > 1.96 * (resampled[0] - resampled[1]).std())
    assert 0.91 < np.mean(held) < 0.98
    assert 0.02 < np.mean(apart) < 0.09
