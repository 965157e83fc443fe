from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_localization import rectangle, tiny_imagenet

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import open_localization_test
from deepres.data.detection.warped_regions import Proposals, ProposedRegions, Warp, warped
from deepres.data.images import BadImage

GREY = (9, 9, 9)


def test_a_box_fills_the_square_whatever_its_shape() -> None:
    """White from 8 to 40 across and from 16 to 32 down, of 64."""
    image = rectangle((8, 16, 39, 31))
    square = warped(image, (8 / 64, 16 / 64, 40 / 64, 32 / 64), Warp(32, 0, GREY))
    assert square.shape == (32, 32, 3)
    assert (square[1:-1, 1:-1] == 255).all()  # the edge is blended with what is beyond


def test_context_is_what_lies_around_it() -> None:
    """As in R-CNN the frame is of the square's pixels: 4 of 32, the box has the other 24."""
    image = rectangle((16, 16, 39, 39))  # 24 pixels wide: nothing is scaled
    square = warped(image, (0.25, 0.25, 40 / 64, 40 / 64), Warp(32, 4, GREY))
    expected = np.zeros((32, 32, 3), np.uint8)
    expected[4:28, 4:28] = 255
    np.testing.assert_array_equal(square, expected)


def test_beyond_the_images_edge_there_is_a_colour() -> None:
    image = Image.new("RGB", (64, 64), "white")
    square = warped(image, (0, 0.25, 24 / 64, 40 / 64), Warp(32, 4, GREY))
    assert (square[:, :4] == 9).all()
    assert (square[:, 4:] == 255).all()
    mirrored = warped(image, (0, 0.25, 24 / 64, 40 / 64), Warp(32, 4, GREY), mirror=True)
    np.testing.assert_array_equal(mirrored, square[:, ::-1])


SHARE = st.floats(0, 1, width=32)


@given(SHARE, SHARE, SHARE, SHARE, st.integers(1, 99), st.integers(1, 99), st.integers(0, 13))
def test_any_box_can_be_seen(
    x1: float, x2: float, y1: float, y2: float, width: int, height: int, context: int
) -> None:
    """Even one of no area, which an RPN can propose at the image's edge."""
    (x1, x2), (y1, y2) = sorted((x1, x2)), sorted((y1, y2))
    image = Image.new("RGB", (width, height), "white")
    square = warped(image, (x1, y1, x2, y2), Warp(28, context, GREY))
    assert square.shape == (28, 28, 3)
    assert (square[context : 28 - context, context : 28 - context] == 255).any()


@pytest.fixture
def images(tmp_path: Path) -> BoxedImages:
    boxes = [(16.0, 8.0, 47.0, 39.0), (20.0, 24.0, 35.0, 55.0)]
    tested = [("n01", box) for box in boxes]
    folder = tiny_imagenet(tmp_path, {"n01": boxes[:1]}, tested)
    return BoxedImages.of(open_localization_test(folder))


def test_the_proposals_of_several_networks_are_one_set(images: BoxedImages) -> None:
    boxes = torch.arange(48.0).view(2, 2, 3, 4)
    some = Proposals(boxes, torch.tensor([[1, 3], [2, 2]]))
    more = Proposals(boxes[:, :, :1] + 100, torch.ones(2, 2, dtype=torch.int64))
    warps = [Warp(28, 2, GREY), Warp(14, 0, GREY)]
    seen = ProposedRegions(images, [some, more], warps, [(0, 1), (1, 0)])[1]
    assert seen.place == (1, 0)
    assert seen.boxes[:, 0].tolist() == [24, 28, 124]
    assert [squares.shape[:2] for squares in seen.squares] == [(3, 28), (3, 14)]


def test_a_file_that_cannot_be_decoded_is_named(images: BoxedImages) -> None:
    images.paths[1].unlink()
    none = Proposals(torch.zeros(2, 1, 1, 4), torch.ones(2, 1, dtype=torch.int64))
    regions = ProposedRegions(images, [none], [Warp(28, 2, GREY)], [(0, 0), (1, 0)])
    assert len(regions[0].boxes) == 1
    with pytest.raises(BadImage, match=r"val_1.JPEG: no such file"):
        regions[1]
