import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import pytest
from annotated_pictures import Corners, detections, made_up_set, truth_as_found
from hypothesis import given, settings

from deepres.data.detection.records import Detections, DetectionSet
from deepres.data.detection.splits import open_detection_set
from deepres.errors import UserError
from deepres.evaluation.detection.voc import VocRule, evaluate_imagenet_det, evaluate_voc

BOX: Corners = (0, 0, 10, 10)
FAR: Corners = (50, 50, 60, 60)
ELSEWHERE: Corners = (100, 100, 110, 110)


def right(dataset: DetectionSet, found: Mapping[str, Detections], label: int = 1) -> list[bool]:
    """Of the detections of a class that count, which are right."""
    curve = evaluate_voc(dataset, found, "area").curves[label - 1]
    true = [0, *(curve.recall * curve.objects).round().astype(int).tolist()]
    return [after > before for before, after in pairwise(true)]


def test_the_curve_and_both_averages_by_hand() -> None:
    dataset = made_up_set({"x": [(1, BOX), (1, FAR)], "y": [(1, BOX)]})
    found = {
        "x": detections((0.9, 1, BOX), (0.7, 1, BOX)),  # the second is a duplicate
        "y": detections((0.8, 1, FAR), (0.6, 1, BOX)),
    }
    result = evaluate_voc(dataset, found, "11-point")
    curve = result.curves[0]
    assert curve.scores == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert curve.precision == pytest.approx([1, 1 / 2, 1 / 3, 2 / 4])
    assert curve.recall == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert (curve.name, curve.objects) == ("a", 3)
    assert curve.ap == pytest.approx(5.5 / 11)
    assert result.noted == {"rule": "11-point", "map_50_pct": 50.0, "ap_pct": {"a": 50.0}}
    assert evaluate_voc(dataset, found, "area").curves[0].ap == pytest.approx(0.5)


def test_half_an_overlap_is_enough() -> None:
    """Of VOC's pixels 1 to 10, the pixels 1 to 5 are half: both ends count."""
    dataset = made_up_set({"x": [(1, BOX)]})
    assert right(dataset, {"x": detections((0.9, 1, (0, 0, 5, 10)))}) == [True]
    assert right(dataset, {"x": detections((0.9, 1, (0, 0, 4.99, 10)))}) == [False]


def test_the_most_certain_detection_of_an_object_is_right_and_no_other() -> None:
    dataset = made_up_set({"x": [(1, BOX)]})
    found = {"x": detections((0.5, 1, BOX), (0.9, 1, (0, 0, 9, 10)))}
    assert right(dataset, found) == [True, False]
    assert evaluate_voc(dataset, found, "area").curves[0].scores == pytest.approx([0.9, 0.5])


def test_only_the_object_overlapped_most_can_be_found() -> None:
    """The second detection overlaps both by more than half, the free one less than the taken."""
    near: Corners = (2, 0, 12, 10)
    dataset = made_up_set({"x": [(1, BOX), (1, near)]})
    found = {"x": detections((0.9, 1, BOX), (0.8, 1, (0.5, 0, 10.5, 10)))}
    assert right(dataset, found) == [True, False]


def test_detections_on_difficult_objects_do_not_count() -> None:
    dataset = made_up_set({"x": [(1, BOX), (1, FAR)]}, ignored={"x": [0]})
    found = {"x": detections((0.9, 1, BOX), (0.8, 1, BOX), (0.7, 1, FAR), (0.6, 1, ELSEWHERE))}
    assert right(dataset, found) == [True, False]
    assert evaluate_voc(dataset, found, "area").curves[0].objects == 1
    assert evaluate_voc(dataset, found, "area").map_50_pct == 100


def test_a_class_is_found_by_its_own_detections() -> None:
    dataset = made_up_set({"x": [(1, BOX), (2, FAR)]})
    found = {"x": detections((0.9, 2, BOX), (0.8, 2, FAR))}
    assert right(dataset, found, label=2) == [False, True]
    assert evaluate_voc(dataset, found, "area").ap_pct == {"a": 0, "b": 50}


def test_classes_without_objects_have_no_part_in_the_mean() -> None:
    dataset = made_up_set({"x": [(1, BOX)]}, classes=("a", "b", "c"), ignored={"x": []})
    result = evaluate_voc(dataset, {"x": detections((0.9, 1, BOX), (0.8, 3, FAR))}, "area")
    assert result.map_50_pct == 100
    assert result.ap_pct == {"a": 100}
    assert math.isnan(result.curves[2].ap)
    assert result.curves[2].precision.tolist() == [0]


def test_equal_scores_keep_the_order_of_images_and_detections() -> None:
    dataset = made_up_set({"x": [(1, BOX)], "y": [(1, BOX)]})
    x, y = detections((0.5, 1, FAR), (0.5, 1, BOX)), detections((0.5, 1, BOX))
    assert right(dataset, {"y": y, "x": x}) == [False, True, True]


def test_images_that_nothing_is_found_on_count(recwarn: pytest.WarningsRecorder) -> None:
    dataset = made_up_set({"x": [(1, BOX)], "y": [(1, BOX)]})
    assert evaluate_voc(dataset, {"x": detections((0.9, 1, BOX))}, "area").map_50_pct == 50
    assert evaluate_voc(dataset, {}, "11-point").map_50_pct == 0
    assert evaluate_voc(dataset, {"y": detections()}, "area").map_50_pct == 0
    assert not recwarn.list


def test_what_cannot_be_judged_is_refused() -> None:
    dataset = made_up_set({"x": [(1, BOX)]})
    with pytest.raises(UserError, match="made up has no image 'z'"):
        evaluate_voc(dataset, {"z": detections()}, "area")
    with pytest.raises(UserError, match="not published; write result files"):
        evaluate_voc(replace(dataset, annotated=False), {}, "area")
    with pytest.raises(UserError, match="no objects to find"):
        evaluate_voc(made_up_set({"x": []}), {"x": detections((0.9, 1, BOX))}, "area")


def test_small_objects_take_less_overlap_in_imagenet_det() -> None:
    """The readme's own example: 10 × 10 pixels, found as 20 × 20, overlap by exactly enough."""
    dataset = made_up_set({"x": [(1, (20, 20, 30, 30))]})
    found = {"x": detections((0.9, 1, (15, 15, 35, 35)))}
    assert evaluate_imagenet_det(dataset, found).map_50_pct == 100
    assert evaluate_voc(dataset, found, "area").map_50_pct == 0
    found = {"x": detections((0.9, 1, (15, 15, 35.1, 35)))}
    assert evaluate_imagenet_det(dataset, found).map_50_pct == 0


def test_imagenet_det_takes_the_best_object_that_is_free() -> None:
    near: Corners = (20, 0, 120, 100)
    dataset = made_up_set({"x": [(1, (0, 0, 100, 100)), (1, near)]})
    found = {"x": detections((0.9, 1, (0, 0, 100, 100)), (0.8, 1, (5, 0, 105, 100)))}
    assert evaluate_imagenet_det(dataset, found).map_50_pct == 100
    assert evaluate_voc(dataset, found, "area").map_50_pct == 50
    again = {"x": detections((0.9, 1, (0, 0, 100, 100)), (0.8, 1, (0, 0, 100, 60)))}
    assert evaluate_imagenet_det(dataset, again).map_50_pct == 50


def test_what_is_to_be_ignored_is_neither_found_nor_missed_by_imagenet_dets_rule() -> None:
    dataset = made_up_set({"x": [(1, BOX), (1, FAR)]}, ignored={"x": [1]})
    found = {"x": detections((0.9, 1, BOX), (0.8, 1, FAR), (0.7, 1, FAR))}
    (curve, _) = evaluate_imagenet_det(dataset, found).curves
    assert (curve.objects, curve.scores.tolist(), curve.ap) == (1, pytest.approx([0.9]), 1)


# VOC's rule once more, written out box by box in pixels from 1 to the last, ends included.

Pixels = tuple[int, int, int, int]
Object = tuple[int, Pixels, bool]
DetectionResults = tuple[int, Pixels]


def rule_written_out(
    objects: Sequence[Object], found: Sequence[DetectionResults], rule: VocRule
) -> float | None:
    """Average precision of one class; ``found`` is in the order of falling scores."""
    count = sum(not difficult for _, _, difficult in objects)
    if count == 0:
        return None
    taken: set[int] = set()
    points: list[tuple[float, float]] = []
    true = false = 0
    for image, (x1, y1, x2, y2) in found:
        best, which = -1.0, -1
        for i, (there, (a1, b1, a2, b2), _) in enumerate(objects):
            width, height = min(x2, a2) - max(x1, a1) + 1, min(y2, b2) - max(y1, b1) + 1
            if there == image and width > 0 and height > 0:
                both = (x2 - x1 + 1) * (y2 - y1 + 1) + (a2 - a1 + 1) * (b2 - b1 + 1)
                overlap = width * height / (both - width * height)
                if overlap > best:
                    best, which = overlap, i
        if best >= 0.5 and objects[which][2]:
            continue
        if best >= 0.5 and which not in taken:
            taken.add(which)
            true += 1
        else:
            false += 1
        points.append((true / count, true / (true + false)))
    if rule == "11-point":
        return (
            sum(max([p for r, p in points if r >= tenth / 10], default=0.0) for tenth in range(11))
            / 11
        )
    total = last = 0.0
    for recall, _ in points:
        total += (recall - last) * max(p for r, p in points if r >= recall)
        last = recall
    return total


sides = st.tuples(*[st.integers(1, 6)] * 2, *[st.integers(0, 4)] * 2)
pixels = sides.map(lambda s: (s[0], s[1], s[0] + s[2], s[1] + s[3]))
some_objects = st.lists(st.tuples(st.integers(0, 1), pixels, st.booleans()), max_size=7)
some_found = st.lists(st.tuples(st.integers(0, 1), pixels), max_size=12)


def continuous(box: Pixels) -> Corners:
    return box[0] - 1, box[1] - 1, box[2], box[3]


@settings(max_examples=150)
@given(some_objects, some_found, st.sampled_from(["11-point", "area"]))
def test_against_the_rule_written_out(
    objects: list[Object], found: list[DetectionResults], rule: VocRule
) -> None:
    places = {
        name: [each for each in objects if each[0] == image] for image, name in enumerate("xy")
    }
    dataset = made_up_set(
        {
            # Another class's object keeps sets without any of this one valid.
            name: [*((1, continuous(box)) for _, box, _ in each), (2, (150, 150, 160, 160))]
            for name, each in places.items()
        },
        ignored={
            name: [i for i, (_, _, difficult) in enumerate(each) if difficult]
            for name, each in places.items()
        },
    )
    ranked = [(image, 1 - rank / 100, continuous(box)) for rank, (image, box) in enumerate(found)]
    ours = evaluate_voc(
        dataset,
        {
            name: detections(*((score, 1, box) for i, score, box in ranked if i == image))
            for image, name in enumerate("xy")
        },
        rule,
    ).ap_pct.get("a")
    theirs = rule_written_out(objects, found, rule)
    assert ours == (None if theirs is None else pytest.approx(100 * theirs))


@pytest.mark.parametrize("rule", ["11-point", "area"])
def test_the_truth_found_scores_all(voc2012_sample: Path, bccd: Path, rule: VocRule) -> None:
    for data in (
        open_detection_set("voc2012-trainval", voc2012_sample),
        open_detection_set("test", bccd),
    ):
        result = evaluate_voc(data, truth_as_found(data), rule)
        assert result.ap_pct == pytest.approx(dict.fromkeys(data.classes, 100.0))
        assert result.map_50_pct == pytest.approx(100)
