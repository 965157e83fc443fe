import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from annotated_pictures import coco_folder, detections, made_up_set
from scored_detections import scored

from deepres.data.detection.records import Detections, DetectionSet
from deepres.data.detection.splits import open_detection_set
from deepres.errors import UserError
from deepres.evaluation.detection.coco import (
    CocoDetection,
    as_coco,
    coco_ids,
)
from deepres.evaluation.detection.detector_inference import check_submission, read_results
from deepres.evaluation.detection.result_files import (
    read_coco,
    read_imagenet_det,
    read_voc,
    write_coco,
    write_imagenet_det,
    write_voc,
)
from deepres.evaluation.detection.rules import Rule, benchmark_rule
from deepres.evaluation.detection.voc import evaluate_imagenet_det, evaluate_voc

SET = made_up_set({"000001": [(1, (0, 0, 10, 10))], "000002": [(2, (5, 5, 9, 9))], "000003": []})
FOUND = {
    "000002": detections((0.25, 2, (5, 5, 9, 9.5))),
    "000001": detections((0.75, 1, (0, 0, 10, 10)), (0.5, 2, (1, 2, 3, 4))),
}


def same(ours: dict[str, Detections], theirs: dict[str, Detections]) -> None:
    assert ours.keys() == theirs.keys()
    for name, found in theirs.items():
        for field in ("boxes", "scores", "labels"):
            mine, other = getattr(ours[name], field), getattr(found, field)
            torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6, check_dtype=False)


def test_vocs_files_count_pixels_from_one(tmp_path: Path) -> None:
    write_voc(tmp_path, SET, FOUND, "test")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "comp4_det_test_a.txt": "000001 0.75 1 1 10 10\n",
        "comp4_det_test_b.txt": "000001 0.5 2 3 3 4\n000002 0.25 6 6 9 9.5\n",
    }
    same(read_voc(tmp_path, SET), FOUND)


def test_imagenets_file_counts_pixels_from_zero(tmp_path: Path) -> None:
    write_imagenet_det(tmp_path / "val.txt", SET, FOUND)
    assert (tmp_path / "val.txt").read_text().splitlines() == [
        *("1 1 0.75 0 0 9 9", "1 2 0.5 1 2 2 3", "2 2 0.25 5 5 8 8.5")
    ]
    same(read_imagenet_det(tmp_path / "val.txt", SET), FOUND)


def test_scores_and_boxes_are_read_as_they_were(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    corners = 100 * torch.rand(50, 2, generator=random)
    boxes = torch.cat([corners, corners + 1 + 90 * torch.rand(50, 2, generator=random)], dim=1)
    scores = torch.rand(50, generator=random).pow(9).sort(descending=True).values
    found = {"000003": Detections(boxes, scores, torch.ones(50, dtype=torch.int64))}
    write_voc(tmp_path, SET, found, "val")
    read = read_voc(tmp_path, SET)["000003"]
    assert torch.equal(read.scores.float(), scores)
    torch.testing.assert_close(read.boxes, boxes, rtol=1e-6, atol=1e-6)


def test_scores_are_ranked_by_all_of_their_digits(tmp_path: Path) -> None:
    """In 32 bits these two are alike, and the wrong one would come first."""
    data = made_up_set({"000001": [], "000002": [(1, (0, 0, 10, 10))]}, ("a",))
    (tmp_path / "det.txt").write_text(
        "1 1 0.99999998 0 0 9 9\n2 1 0.99999999 0 0 9 9\n2 1 0.99999998 50 50 59 59\n"
    )
    found = read_imagenet_det(tmp_path / "det.txt", data)
    assert evaluate_imagenet_det(data, found).map_50_pct == 100
    (tmp_path / "comp4_det_test_a.txt").write_text(
        "000001 0.99999998 1 1 10 10\n000002 0.99999999 1 1 10 10\n"
    )
    assert evaluate_voc(data, read_voc(tmp_path, data), "area").map_50_pct == 100


def test_images_names_may_have_spaces(tmp_path: Path) -> None:
    names = {"000001": "photo", "000002": "photo 0", "000003": "photo 0 1"}
    data = replace(SET, images=tuple(replace(each, id=names[each.id]) for each in SET.images))
    found = {names[image]: each for image, each in FOUND.items()}
    write_voc(tmp_path, data, found, "test")
    same(read_voc(tmp_path, data), found)


def test_names_of_classes_may_end_alike(tmp_path: Path) -> None:
    ties = replace(SET, classes=("tie", "bow_tie"))
    write_voc(tmp_path, ties, FOUND, "test")
    same(read_voc(tmp_path, ties), FOUND)


@pytest.mark.parametrize("name", ["car/truck", "N/A", "../../escaped", r"..\escaped", "a\0b"])
def test_no_class_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    ours = replace(SET, classes=("a", name))
    message = "class .* has a / or .* in its name, and VOC's result files are called by their"
    with pytest.raises(UserError, match=message):
        check_submission(ours)
    with pytest.raises(UserError, match=message):
        write_voc(tmp_path / "found/Main", ours, FOUND, "test")
    with pytest.raises(UserError, match=message):
        read_voc(tmp_path, ours)
    assert not [*tmp_path.iterdir()]
    check_submission(replace(ours, name="ImageNet DET val"))  # one file, called by no class


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "000009 0.5 1 1 2 2",
            r"_b\.txt, line 2: image '000009' is not in the set; expec",
        ),
        ("000001 0.5 1 1 2", r"line 2: not enough values"),
        ("000001 0.5 1 1 2 2 2", r"line 2: image '000001 0\.5' is not in the set"),
        ("000001 high 1 1 2 2", r"line 2: could not convert"),
        ("000001 nan 1 1 2 2", r"line 2: \[nan, .* are not all numbers"),
        ("000001 0.5 1 1 inf 2", r"are not all numbers"),
    ],
)
def test_wrong_lines_of_vocs_files_are_named(tmp_path: Path, line: str, message: str) -> None:
    write_voc(tmp_path, SET, FOUND, "test")
    (tmp_path / "comp4_det_test_b.txt").write_text(f"\n{line}\n")
    with pytest.raises(UserError, match=message):
        read_voc(tmp_path, SET)


def test_vocs_files_are_of_one_set_and_all_classes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks comp4_det_<set>_a\.txt; .* classes a, b"):
        read_voc(tmp_path, SET)
    write_voc(tmp_path, SET, FOUND, "val")
    write_voc(tmp_path, SET, FOUND, "test")
    with pytest.raises(UserError, match=r"of several sets \(test, val\)"):
        read_voc(tmp_path, SET)
    (tmp_path / "comp4_det_val_a.txt").unlink()
    same(read_voc(tmp_path, SET), FOUND)
    (tmp_path / "comp4_det_test_b.txt").unlink()
    (tmp_path / "comp4_det_val_b.txt").unlink()
    with pytest.raises(UserError, match=r"lacks comp4_det_<set>_b\.txt"):
        read_voc(tmp_path, SET)
    with pytest.raises(UserError, match="nowhere: no such folder"):
        read_voc(tmp_path / "nowhere", SET)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"4 1 0.5 0 0 9 9", "line 1: image 4 is none of 1 to 3"),
        (b"1 3 0.5 0 0 9 9", "line 1: class 3 is none of 1 to 2"),
        (b"1 1.5 0.5 0 0 9 9", "class 1.5 is none"),
        (b"1 1 0.5 0 0 9", "not enough values"),
        ("1 1 0.5 0 0 9 é".encode("latin-1"), r"val\.txt, line 1 is not UTF-8"),
    ],
)
def test_wrong_lines_of_imagenets_file_are_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "val.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_imagenet_det(tmp_path / "val.txt", SET)
    with pytest.raises(UserError, match="cannot read"):
        read_imagenet_det(tmp_path / "test.txt", SET)


@pytest.fixture
def coco(tmp_path: Path) -> DetectionSet:
    box = [[0.0, 0.0, 10.0, 0.0, 10.0, 10.0, 0.0, 10.0]]
    images = {3: [{"category_id": 90, "bbox": [0, 0, 10, 10], "segmentation": box}]}
    folder = coco_folder(tmp_path, "val2017", images, {90: "a", 1: "b"}, size=(20, 12))
    return open_detection_set("coco2017-val", folder)


@pytest.fixture
def entries(coco: DetectionSet) -> list[CocoDetection]:
    mask = torch.zeros(1, 12, 20, dtype=torch.bool)
    mask[:, :10, :6] = True
    found = replace(detections((0.75, 2, (0, 0, 8.5, 10))), masks=mask)
    return as_coco("3", found, coco_ids(coco))


def test_cocos_file_has_corners_and_sizes(
    tmp_path: Path, coco: DetectionSet, entries: list[CocoDetection]
) -> None:
    write_coco(tmp_path / "results.json", entries)
    (written,) = json.loads((tmp_path / "results.json").read_text())
    outline = written.pop("segmentation")
    assert written == {"image_id": 3, "category_id": 90, "score": 0.75, "bbox": [0, 0, 8.5, 10]}
    assert outline["size"] == [12, 20]
    assert read_coco(tmp_path / "results.json", coco) == entries


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda e: e.update(image_id=4),
            "detection 1: image 4 is not in the set; expected",
        ),
        (lambda e: e.update(category_id=2), "category 2 is not in the set"),
        (lambda e: e.pop("score"), "detection 1: it has no score; expected image_id"),
        (lambda e: e.update(score="high"), "detection 1: 'high' is no score"),
        (lambda e: e.update(score=float("nan")), "nan is no score"),
        (lambda e: e.update(score=10**400), "0 is no score"),
        (lambda e: e.update(image_id=None), "image None is not in the set"),
        (lambda e: e.update(image_id=3.5), "image 3.5 is not in the set"),
        (lambda e: e.update(category_id=True), "category True is not in the set"),
        (lambda e: e.update(bbox=[1, 2, "a", 4]), r"\[1, 2, 'a', 4\] is no box"),
        (lambda e: e.update(bbox=[1, 2, 3]), r"\[1, 2, 3\] is no box"),
        (lambda e: e["segmentation"].update(size=[20, 12]), "not of the image's"),
        (lambda e: e["segmentation"].update(counts=[0, 240]), "run lengths are not compressed"),
        (lambda e: e["segmentation"].update(counts="52a0"), "run lengths of 24 pixels in 12×20"),
        (lambda e: e["segmentation"].update(counts="~~~"), "lengths that cannot be decoded"),
        (lambda e: [e.pop(key) for key in ("bbox", "segmentation")], "1: it has no bbox"),
        (lambda e: e.update(bbox=None), "None is no box"),
        (lambda e: e.update(segmentation=[[1, 2]]), "segmentation is a list, expected an object"),
        (lambda e: e["segmentation"].pop("size"), "1: segmentation.size is missing"),
    ],
)
def test_wrong_entries_of_cocos_file_are_named(
    tmp_path: Path,
    coco: DetectionSet,
    entries: list[CocoDetection],
    spoil: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    spoil(entries[0])
    write_coco(tmp_path / "results.json", entries)
    with pytest.raises(UserError, match=message):
        read_coco(tmp_path / "results.json", coco)
    (tmp_path / "results.json").write_text("[[1]]")
    with pytest.raises(UserError, match="detection 1: it is a list, expected an object; expected"):
        read_coco(tmp_path / "results.json", coco)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UserError, match="a list of detections was expected"):
        read_coco(tmp_path / "results.json", coco)


def test_ids_and_numbers_of_cocos_file_may_be_text(
    tmp_path: Path, coco: DetectionSet, entries: list[CocoDetection]
) -> None:
    (expected,) = entries
    for given in ({"image_id": "3", "category_id": 90.0}, {"score": "0.75", "image_id": 3.0}):
        bbox = [str(side) for side in expected["bbox"]]
        write_coco(tmp_path / "results.json", [{**expected, **given, "bbox": bbox}])
        assert read_coco(tmp_path / "results.json", coco) == [expected]


@pytest.mark.parametrize("ids", [("img_3", "cat"), ("3", 7), (3.0, 7.0)])
def test_cocos_own_program_takes_what_is_written_for_ids_of_any_kind(
    tmp_path: Path, ids: tuple[Any, Any]
) -> None:
    images = {3: [{"category_id": 7, "bbox": [0, 0, 10, 10]}]}
    folder = coco_folder(tmp_path, "mine", images, {7: "a"}, size=(20, 12))
    file = folder / "annotations/instances_mine.json"
    content = json.loads(file.read_text())
    content["images"][0]["id"], content["categories"][0]["id"] = ids
    content["annotations"][0] |= {"image_id": ids[0], "category_id": ids[1]}
    file.write_text(json.dumps(content))
    data = open_detection_set("mine", folder)
    entries = as_coco(data.images[0].id, detections((0.75, 1, (0, 0, 8.5, 10))), coco_ids(data))
    assert (entries[0]["image_id"], entries[0]["category_id"]) == ids
    write_coco(tmp_path / "results.json", entries)
    theirs = pytest.importorskip("pycocotools.coco", reason="deepres[detection] brings it").COCO
    evaluation = pytest.importorskip("pycocotools.cocoeval").COCOeval
    truth = theirs(file)
    scored = evaluation(truth, truth.loadRes(str(tmp_path / "results.json")), "bbox")
    for step in (scored.evaluate, scored.accumulate, scored.summarize):
        step()
    ours = read_results(tmp_path / "results.json", data).scores()
    assert ours["map_pct"] == pytest.approx(100 * scored.stats[0]) == pytest.approx(80)


@pytest.mark.parametrize(("name", "rule"), [("VOC 2007 test", "11-point"), ("BCCD test", "area")])
def test_vocs_files_score_as_what_was_written(tmp_path: Path, name: str, rule: Rule) -> None:
    data = replace(SET, name=name)
    write_voc(tmp_path, data, FOUND, "val")
    scores = read_results(tmp_path, data).scores()
    assert scores["map_50_pct"] == pytest.approx(75)  # b: a wrong one before the right one
    assert scores == scored(data, FOUND, rule).noted


def test_imagenets_file_scores_as_what_was_written(tmp_path: Path) -> None:
    data = replace(SET, name="ImageNet DET val")
    write_imagenet_det(tmp_path / "val.txt", data, FOUND)
    scores = read_results(tmp_path / "val.txt", data).scores()
    assert scores == scored(data, FOUND, "imagenet-det").noted


@pytest.mark.parametrize("boxes", [True, False])
def test_cocos_file_scores_boxes_and_masks(
    tmp_path: Path, coco: DetectionSet, entries: list[CocoDetection], boxes: bool
) -> None:
    """Overlaps of 0.85 and 0.6 are enough for eight and for three of ten.

    Without a box an entry has that of its mask.
    """
    if not boxes:
        del entries[0]["bbox"]
    write_coco(tmp_path / "results.json", entries)
    scores = read_results(tmp_path / "results.json", coco).scores()
    assert scores["map_pct"] == pytest.approx(80 if boxes else 30)
    assert scores["mask_map_pct"] == pytest.approx(30)
    assert scores["map_50_pct"] == scores["mask_map_50_pct"] == pytest.approx(100)


def test_each_set_has_its_benchmarks_rule(coco: DetectionSet) -> None:
    assert benchmark_rule(coco) == "coco"
    names = {"VOC 2007 test": "11-point", "VOC 2012 val": "area", "BCCD test": "area"}
    for name, rule in {**names, "ImageNet DET val": "imagenet-det"}.items():
        assert benchmark_rule(replace(SET, name=name)) == rule
