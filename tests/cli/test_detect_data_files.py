"""What people's own data files do to ``deepres detect evaluate --results``: the right value."""

import json
from pathlib import Path
from typing import Any

import pytest
from annotated_pictures import voc_folder, voc_xml
from json_keys import assert_documented
from pictures import picture

from deepres.cli.main import main

pytest.importorskip("pycocotools", reason="deepres[detection] brings it")

BOX = [10, 10, 40, 40]
OBJECT = {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "area": 1600, "iscrowd": 0}
FOUND = {"image_id": 1, "category_id": 1, "bbox": BOX, "score": 0.9}
HALF_PCT = "50.5"
"""Precision 1 up to recall 0.5, by COCO's 101 points."""


def coco(folder: Path, *annotations: dict[str, Any], ids: tuple[Any, Any] = (1, 1)) -> Path:
    """An image of 100 × 80 pixels and one category, with ids for both."""
    (folder / "mine").mkdir(parents=True)
    (folder / "annotations").mkdir()
    picture(100, 80).save(folder / "mine/a.jpg")
    content = {
        "images": [{"id": ids[0], "file_name": "a.jpg", "width": 100, "height": 80}],
        "categories": [{"id": ids[1], "name": "cat"}],
        "annotations": annotations,
    }
    (folder / "annotations/instances_mine.json").write_text(json.dumps(content))
    return folder


def evaluate(folder: Path, results: Any, *more: str, on: str = "mine") -> int:
    if not isinstance(results, Path):
        file = folder / "results.json"
        file.write_text(json.dumps(results))
        results = file
    command = ["detect", "evaluate", "--results", str(results), "--on", on, "--data", str(folder)]
    return main([*command, *more])


def precisions(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Each row of what was printed by its first word, with its last column."""
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    return {row[0]: row[-1] for row in rows if len(row) > 1}


@pytest.mark.parametrize(
    "ids", [("img_1", 1), ("1", 1), (1, "cat_1"), ("a", "b"), (1.0, 1.0), (0, 0), (1, 7.0)]
)
def test_ids_of_any_kind_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ids: tuple[Any, Any]
) -> None:
    both = {"image_id": ids[0], "category_id": ids[1]}
    folder = coco(tmp_path, {**OBJECT, **both}, ids=ids)
    assert evaluate(folder, [{**FOUND, **both}]) == 0
    assert precisions(capsys)["cat"] == "100.0"


def test_ids_that_match_as_text_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = coco(tmp_path, {**OBJECT, "image_id": "1", "category_id": 1.0})
    assert evaluate(folder, [{**FOUND, "image_id": 1.0, "category_id": "1"}]) == 0
    assert precisions(capsys)["cat"] == "100.0"


@pytest.mark.parametrize(
    "changed",
    [
        {"area": None},
        {"area": "1600"},
        {"iscrowd": None},
        {"iscrowd": "0"},
        {"bbox": [str(side) for side in BOX], "area": None},
        {"bbox": [str(side) for side in BOX]},
    ],
)
def test_nulls_and_numbers_as_text_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any]
) -> None:
    """Two objects, one of them not found: half the precision."""
    missed = {"id": 2, "bbox": ["60", "20", "30", "30"] if "bbox" in changed else [60, 20, 30, 30]}
    folder = coco(tmp_path, {**OBJECT, **changed}, {**OBJECT, **changed, **missed})
    assert evaluate(folder, [FOUND]) == 0
    assert precisions(capsys)["cat"] == HALF_PCT


@pytest.mark.parametrize(
    "changed",
    [
        {"bbox": [20, 20, 0, 30]},
        {"bbox": []},
        {"bbox": [20, 20, 30, 30, 1]},
        {"iscrowd": "perhaps"},
        {"area": "large"},
        {"category_id": 2},
        {"image_id": 2},
        {"segmentation": [[20, 20, 30, 30]]},
        {"segmentation": {"size": [80, 100], "counts": [8001]}},
    ],
)
def test_dropped_objects_are_not_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any]
) -> None:
    folder = coco(tmp_path, OBJECT, {**OBJECT, "id": 2, "bbox": [60, 20, 30, 30], **changed})
    assert evaluate(folder, [FOUND]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "annotations/instances_mine.json, object 2: " in said[-1]
    assert evaluate(folder, [FOUND], "--bad-boxes", "skip") == 0
    assert precisions(capsys)["cat"] == "100.0"
    assert evaluate(folder, [FOUND], "--bad-boxes", "skip", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["files"]) == (1, {})
    assert told["data"] == f"{folder.name} mine"
    assert_documented({**told, "tests": []})
    (test,) = told["tests"]
    assert (test["test"], test["ap_pct"]) == (
        str(folder / "results.json"),
        {"cat": pytest.approx(100)},
    )
    # One image alone tells nothing of others: in all draws it is found.
    assert "resampled" not in test
    assert test["standard_errors_pct"] == {"map_50_pct": 0, "map_pct": 0}


def test_what_voc_calls_difficult_does_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that counts was not found."""
    xml = voc_xml(60, 40, [("cat", (5, 5, 20, 20)), ("cat", (30, 5, 50, 30))], difficult=[0])
    xml = xml.replace("<difficult>1<", "<difficult>true<")
    folder = voc_folder(tmp_path / "cells", {"test": {"a": xml}})
    (tmp_path / "results").mkdir()
    (tmp_path / "results/comp4_det_test_cat.txt").write_text("\ufeffa 0.9 5 5 20 20\r\n\r\n")
    (tmp_path / "results/._comp4_det_test_cat.txt").write_bytes(b"\0\5\26\7")
    assert evaluate(folder, tmp_path / "results", on="test") == 0
    assert precisions(capsys)["cat"] == "0.0"


def test_lists_saved_on_windows_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xml = voc_xml(60, 40, [("猫", (5, 5, 20, 20))])
    folder = voc_folder(tmp_path / "cells", {"test": {"a": xml}})
    (folder / "ImageSets/Main/test.txt").write_bytes("a\r\n\r\n".encode("utf-16"))
    (folder / "classes.txt").write_bytes("\ufeff猫\r\n".encode())
    (tmp_path / "results").mkdir()
    (tmp_path / "results/comp4_det_test_猫.txt").write_bytes("a 0.9 5 5 20 20\n".encode("utf-16"))
    assert evaluate(folder, tmp_path / "results", on="test") == 0
    assert precisions(capsys)["猫"] == "100.0"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("classes.txt", "chat\nhérisson\n".encode("latin-1"), "classes.txt, line 2 is not UTF-8"),
        ("classes.txt", b"cat\ndog\ncat\n", "classes.txt has 'cat' twice: line 1 and line 3"),
        ("ImageSets/Main/test.txt", b"a\n\na 1\n", "test.txt has 'a' twice: line 1 and line 3"),
        ("ImageSets/Main/test.txt", b"a\n\xff\n", "test.txt, line 2 is not UTF-8"),
        ("JPEGImages/a.png", b"", "JPEGImages has 'a' twice: a.jpg and a.png"),
        ("Annotations/a.XML", b"<annotation/>", "Annotations has 'a' twice: a.XML and a.xml"),
    ],
)
def test_lists_that_cannot_be_right_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes,
    message: str,
) -> None:
    folder = voc_folder(
        tmp_path / "cells", {"test": {"a": voc_xml(60, 40, [("cat", (5, 5, 20, 20))])}}
    )
    (folder / name).write_bytes(content)
    assert evaluate(folder, tmp_path, on="test") == 2
    said = capsys.readouterr().err.splitlines()
    assert message in said[-1]
