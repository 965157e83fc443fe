import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from annotated_pictures import (
    coco_folder,
    coco_test_dev,
    detections,
    made_up_set,
    truth_as_found,
)
from scored_detections import in_cocos_format, scored_by_coco

from deepres.data.detection.loading import target
from deepres.data.detection.records import Detections, DetectionSet
from deepres.data.detection.splits import open_detection_set
from deepres.errors import UserError
from deepres.evaluation.detection.coco import (
    evaluate_coco,
)
from deepres.evaluation.detection.detector_inference import DetectionResults
from deepres.evaluation.detection.rules import benchmark_rule

COCO = pytest.importorskip("pycocotools.coco", reason="deepres[detection] brings it").COCO
COCOeval = pytest.importorskip(
    "pycocotools.cocoeval", reason="deepres[detection] brings it"
).COCOeval

CATEGORIES = {90: "toothbrush", 1: "person", 18: "dog"}


@pytest.fixture
def brushes(tmp_path: Path) -> DetectionSet:
    """A toothbrush of 100 × 100 pixels on each of two images, and a crowd on the first."""
    brush = {"category_id": 90, "bbox": [0, 0, 100, 100]}
    crowd = {"category_id": 90, "bbox": [100, 0, 100, 100], "iscrowd": 1}
    images = {4: [brush, crowd], 2: [brush]}
    folder = coco_folder(tmp_path, "val2017", images, CATEGORIES, size=(200, 100))
    return open_detection_set("coco2017-val", folder)


def test_precision_is_averaged_over_ten_overlaps(brushes: DetectionSet) -> None:
    """An overlap of 0.77 is enough for six of them."""
    box = (0, 0, 100, 77)
    found = {"4": detections((0.9, 3, box)), "2": detections((0.8, 3, box))}
    result = scored_by_coco(brushes, found)
    assert result.map_pct == pytest.approx(60)
    assert result.map_50_pct == pytest.approx(100)
    assert result.numbers_pct["AP75"] == pytest.approx(100)
    assert result.numbers_pct["AP large"] == pytest.approx(60)
    assert "AP small" not in result.numbers_pct  # there are no small objects
    assert result.ap_pct == {"toothbrush": pytest.approx(60)}
    assert result.noted["ap_pct"] == result.ap_pct
    assert {*result.noted} == {"rule", "map_50_pct", "map_pct", "ap_pct"}
    half = detections((0.9, 3, (0, 0, 100, 52)))  # enough for one of them
    result = scored_by_coco(brushes, {"4": half, "2": half})
    assert (result.map_pct, result.map_50_pct) == pytest.approx((10, 100))


def test_detections_in_a_crowd_do_not_count(brushes: DetectionSet) -> None:
    box, crowded = (0, 0, 100, 100), [(100.0 + i, 0.0, 120.0 + i, 30.0) for i in range(3)]
    found = {
        "4": detections(*((0.95, 3, each) for each in crowded), (0.9, 3, box)),
        "2": detections((0.8, 3, box)),
    }
    assert scored_by_coco(brushes, found).map_pct == pytest.approx(100)
    beside = {**found, "2": detections((0.99, 3, (150, 0, 170, 30)), (0.8, 3, box))}
    assert scored_by_coco(brushes, beside).map_pct < 70


def test_only_the_sets_own_images_are_scored(brushes: DetectionSet) -> None:
    first = replace(brushes, images=brushes.images[:1])
    found = {"4": detections((0.9, 3, (0, 0, 100, 100)))}
    assert scored_by_coco(first, found).map_pct == pytest.approx(100)
    assert scored_by_coco(brushes, found).map_pct == pytest.approx(100 * 51 / 101)
    both = in_cocos_format(brushes, {"2": found["4"], "4": found["4"]})
    assert evaluate_coco(first, both).map_pct == pytest.approx(100)


def test_nothing_found_is_0(brushes: DetectionSet) -> None:
    assert scored_by_coco(brushes, {}).map_pct == 0
    assert scored_by_coco(brushes, {"4": detections()}).ap_pct == {"toothbrush": 0}
    with pytest.raises(UserError, match="masks cannot be scored"):
        scored_by_coco(brushes, {"4": detections((0.9, 3, (0, 0, 9, 9)))}, masks=True)


def test_what_cannot_be_judged_is_refused(brushes: DetectionSet) -> None:
    with pytest.raises(UserError, match="COCO's layout, which made up is not in"):
        scored_by_coco(made_up_set({"x": [(1, (0, 0, 9, 9))]}), {})


def test_annotations_of_ones_own_may_be_bare_and_numbered_from_0(tmp_path: Path) -> None:
    images = {
        1: [{"category_id": 7, "bbox": [0, 0, 5, 5]}, {"category_id": 7, "bbox": [9, 9, 5, 5]}]
    }
    folder = coco_folder(tmp_path, "mine", images, {7: "a"})
    file = folder / "annotations/instances_mine.json"
    content = json.loads(file.read_text())
    for number, each in enumerate(content["annotations"]):
        each["id"] = number
        del each["area"], each["iscrowd"]
    file.write_text(json.dumps(content))
    data = open_detection_set("mine", folder)
    result = scored_by_coco(data, truth_as_found(data))
    assert result.map_pct == pytest.approx(100)
    masks = torch.ones(2, data.images[0].height, data.images[0].width, dtype=torch.bool)
    found = {name: replace(each, masks=masks) for name, each in truth_as_found(data).items()}
    with pytest.raises(UserError, match="objects without outlines"):
        scored_by_coco(data, found, masks=True)
    entries = in_cocos_format(data, found)
    assert "mask_map_pct" not in DetectionResults(data, "coco", {}, entries).scores()


def with_masks(dataset: DetectionSet) -> dict[str, Detections]:
    found = truth_as_found(dataset)
    masks = {image.id: target(image, masks=True)["masks"].bool() for image in dataset.images}
    return {name: replace(each, masks=masks[name]) for name, each in found.items()}


def perturbed(found: dict[str, Detections]) -> dict[str, Detections]:
    """Boxes and masks moved, some doubled, some of another class, with other scores."""
    random = torch.Generator().manual_seed(3)
    moved = {}
    for name, each in found.items():
        n = len(each.boxes)
        assert each.masks is not None
        size = (each.boxes[:, 2:] - each.boxes[:, :2]).repeat(2, 2)
        boxes = each.boxes.repeat(2, 1)
        boxes = boxes + 0.15 * size * (torch.rand(2 * n, 4, generator=random) - 0.5)
        labels = each.labels.repeat(2)
        wrong = torch.rand(2 * n, generator=random) < 0.2
        labels[wrong] = torch.randint(1, 81, (int(wrong.sum()),), generator=random)
        masks = torch.cat([each.masks, each.masks.roll(9, 2)])
        moved[name] = Detections(boxes, torch.rand(2 * n, generator=random), labels, masks)
    return moved


def by_pycocotools(content: dict[str, Any], results: list[dict[str, Any]], kind: str) -> Any:
    truth = COCO()
    truth.dataset = content
    truth.createIndex()
    scored = COCOeval(truth, truth.loadRes(results), kind)
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    return scored


@pytest.fixture
def sparse(coco_sample: Path) -> DetectionSet:
    """Of the real sample some images that do not have many objects, for speed."""
    data = open_detection_set("coco2017-val", coco_sample)
    few = [image for image in data.images if len(image.objects.boxes) < 8]
    return replace(data, images=tuple(few[:25]))


@pytest.mark.parametrize("masks", [False, True])
def test_the_truth_found_scores_all(
    sparse: DetectionSet, capsys: pytest.CaptureFixture[str], masks: bool
) -> None:
    result = scored_by_coco(sparse, with_masks(sparse), masks=masks)
    assert result.map_pct == pytest.approx(100)
    assert result.numbers_pct["AR100"] == pytest.approx(100)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("masks", [False, True])
def test_perturbed_detections_have_pycocotools_own_numbers(
    sparse: DetectionSet, masks: bool
) -> None:
    found = perturbed(with_masks(sparse))
    result = scored_by_coco(sparse, found, masks=masks)
    kept = ("image_id", "category_id", "score", "segmentation" if masks else "bbox")
    results = [{key: entry[key] for key in kept} for entry in in_cocos_format(sparse, found)]
    (annotations,) = sparse.annotations
    content = json.loads(annotations.read_text())
    content["images"] = [i for i in content["images"] if str(i["id"]) in found]
    content["annotations"] = [a for a in content["annotations"] if str(a["image_id"]) in found]
    theirs = by_pycocotools(content, results, "segm" if masks else "bbox")
    assert [*result.numbers_pct.values()] == pytest.approx((100 * theirs.stats).tolist())
    assert 5 < result.map_pct < 95
    persons = theirs.eval["precision"][:, :, 0, 0, 2]
    assert result.ap_pct["person"] == pytest.approx(100 * persons.mean())
    assert np.mean([*result.ap_pct.values()]) == pytest.approx(result.map_pct)
    assert result.of_masks == masks
    assert any(key.startswith("mask") for key in result.noted) == masks


def test_without_an_area_that_of_the_outline_decides_which_objects_are_small(
    tmp_path: Path,
) -> None:
    """A triangle in a box of 40 × 40 pixels covers less than the 32² from which one is medium."""
    triangle = {"category_id": 1, "bbox": [0, 0, 40, 40], "area": None}
    outlined = {**triangle, "segmentation": [[0, 0, 40, 0, 0, 40]]}
    for name, each, sizes in (("a", triangle, ["medium"]), ("b", outlined, ["small"])):
        folder = coco_folder(tmp_path / name, "mine", {1: [each]}, {1: "cat"})
        data = open_detection_set("mine", folder)
        result = scored_by_coco(data, truth_as_found(data))
        assert [key[3:] for key in result.numbers_pct if key.startswith("AP ")] == sizes


@pytest.mark.parametrize("masks", [False, True])
def test_ids_of_any_kind_give_the_numbers_of_plain_ones(
    sparse: DetectionSet, tmp_path: Path, masks: bool
) -> None:
    """Scores have ties, which pycocotools breaks by the order of the images."""
    found = {
        name: replace(each, scores=(each.scores * 4).round() / 4)
        for name, each in perturbed(with_masks(sparse)).items()
    }
    expected = scored_by_coco(sparse, found, masks=masks)
    (annotations,) = sparse.annotations
    content = json.loads(annotations.read_text())
    for each in (*content["images"], *content["categories"]):
        each["id"] = f"{each['id']:09}"
    for each in content["annotations"]:
        each["image_id"] = f"{each['image_id']:09}"
        each["category_id"] = f"{each['category_id']:09}"
        each["area"] = str(each["area"])
        each["iscrowd"] = str(each["iscrowd"])
    place = tmp_path / "instances_text.json"
    place.write_text(json.dumps(content))
    images = tuple(replace(image, id=f"{int(image.id):09}") for image in sparse.images)
    renamed = replace(sparse, annotations=(place,), images=images)
    again = {f"{int(name):09}": each for name, each in found.items()}
    assert scored_by_coco(renamed, again, masks=masks) == expected


def test_a_file_that_was_changed_while_in_use_is_named(brushes: DetectionSet) -> None:
    (annotations,) = brushes.annotations
    content = json.loads(annotations.read_text())
    content["images"].pop()
    annotations.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"instances_val2017\.json was changed while in use"):
        scored_by_coco(brushes, {})


def test_trainval_is_scored_by_both_files(tmp_path: Path) -> None:
    cat = {"category_id": 1, "bbox": [10, 5, 20, 15]}
    coco_folder(tmp_path, "train2014", {1: [cat]}, {1: "cat"})
    coco_folder(tmp_path, "val2014", {2: [cat]}, {1: "cat"})
    data = open_detection_set("coco2014-trainval", tmp_path)
    found = truth_as_found(data)
    assert benchmark_rule(data) == "coco"
    assert scored_by_coco(data, found).map_pct == pytest.approx(100)
    del found["2"]
    assert scored_by_coco(data, found).numbers_pct["AR100"] == pytest.approx(50)


def test_what_is_not_known_is_not_scored(tmp_path: Path) -> None:
    coco_test_dev(tmp_path, [1], {1: "cat"})
    data = open_detection_set("coco-test-dev", tmp_path)
    with pytest.raises(UserError, match="of COCO 2015 test-dev is not published; write result"):
        evaluate_coco(data, [])
