from typing import Any

import numpy as np
import pytest

from deepres.data.detection.checks import Fault
from deepres.data.detection.outlines import read_outline, run_lengths

WIDTH, HEIGHT = 6, 4
SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]


@pytest.mark.parametrize("nothing", [None, [], [[]], {}])
def test_there_may_be_none(nothing: Any) -> None:
    assert read_outline(nothing, WIDTH, HEIGHT) is None


def test_numbers_may_be_text() -> None:
    assert read_outline([list(map(str, SQUARE))], WIDTH, HEIGHT) == [SQUARE]
    runs = {"size": ["4", 6.0], "counts": ["5", 2.0, 17]}
    assert read_outline(runs, WIDTH, HEIGHT) == {"size": [4, 6], "counts": [5, 2, 17]}


def test_run_lengths_may_be_compressed_to_text() -> None:
    runs = {"size": [4, 6], "counts": "52a0"}
    assert run_lengths(runs["counts"]) == [5, 2, 17]
    assert read_outline(runs, WIDTH, HEIGHT) == runs


def test_a_part_may_be_flat_and_a_pixel_over_the_edge() -> None:
    line, over = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0], [-1.0, 0.0, 7.0, 0.0, 7.0, 5.0]
    assert read_outline([line, over], WIDTH, HEIGHT) == [line, over]


@pytest.mark.parametrize(
    ("outline", "wrong"),
    [
        ("everything", "neither polygons nor run lengths"),
        (SQUARE, "neither polygons nor run lengths"),
        ([SQUARE, []], "a polygon of 0 coordinates"),
        ([[1, 2, 3, 4]], "a polygon of 4 coordinates"),
        ([[*SQUARE, 1]], "a polygon of 9 coordinates"),
        ([[*SQUARE, 1, None]], "coordinates that are not numbers"),
        ([[*SQUARE, 1, float("nan")]], "coordinates that are not numbers"),
        ([[x + 5 for x in SQUARE]], "6 to 8 in 6×4"),
        ([[-2, 1, 3, 1, 3, 3]], "-2 to 3 in 6×4"),
        ([[1, 1, 3, 1, 5, 1]], "flat"),
        ([[0.1, 0.1, 0.2, 0.2, 0.3, 0.3], [1, 1, 1, 2, 1, 3]], "flat"),
        ({"counts": [24]}, "run lengths for None in 4×6"),
        ({"size": [6, 4], "counts": [5, 2, 17]}, r"run lengths for \[6, 4\] in 4×6"),
        ({"size": [4, 6]}, "neither polygons nor run lengths"),
        ({"size": [4, 6], "counts": [5, 2, 16]}, "run lengths of 23 pixels in 4×6"),
        ({"size": [4, 6], "counts": [5, 2, 18]}, "run lengths of 25 pixels in 4×6"),
        ({"size": [4, 6], "counts": [5, -2, 21]}, "negative run lengths"),
        ({"size": [4, 6], "counts": [5, 2.5, 16.5]}, "run lengths that are no whole numbers"),
        ({"size": [4, 6], "counts": [5, None, 19]}, "run lengths that are no whole numbers"),
        ({"size": [4, 6], "counts": [24, 0]}, "flat"),
        ({"size": [4, 6], "counts": ""}, "that are cut short"),
        ({"size": [4, 6], "counts": "not run lengths"}, "that cannot be decoded"),
        ({"size": [4, 6], "counts": "52é"}, "that cannot be decoded"),
        ({"size": [4, 6], "counts": "o" * 100 + "0"}, "that cannot be decoded"),
        ({"size": [4, 6], "counts": "52A"}, "negative run lengths"),
        ({"size": [4, 6], "counts": "52o"}, "that are cut short"),
    ],
)
def test_what_is_wrong_is_said(outline: Any, wrong: str) -> None:
    with pytest.raises(Fault, match=rf"with an impossible outline \(.*{wrong}"):
        read_outline(outline, WIDTH, HEIGHT)


def test_text_is_decoded_as_pycocotools_encodes() -> None:
    mask = pytest.importorskip("pycocotools.mask", reason="deepres[detection] brings it")
    random = np.random.default_rng(0)
    for size in ((3, 5), (40, 60), (500, 700)):
        pixels = np.asfortranarray(np.cumsum(random.random(size) < 0.1, 0) % 2, dtype=np.uint8)
        text = mask.encode(pixels)["counts"].decode()
        flat = pixels.flatten("F")
        changes = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
        expected = np.diff([0, *changes, flat.size]).tolist()
        assert run_lengths(text) == expected
