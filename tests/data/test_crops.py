from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepres.data.crops import (
    COLOUR_AXES,
    COLOUR_SCALES,
    colour_shifts,
    crop_of_scaled,
    scale,
    scaled_size,
)

BELOW_ONE = 1 - 2**-24  # the greatest that torch.rand draws
SHARES = st.sampled_from([0.0, BELOW_ONE]) | st.floats(0, BELOW_ONE, width=32)


def assert_same_grey_levels(found: np.ndarray, expected: np.ndarray) -> None:
    """To one level; Pillow rounds twice, so that few pixels are two levels off.

    In a picture one pixel wide, each of these is a whole row.
    """
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 2
    assert (difference == 2).sum() <= max(2, 0.01 * difference.size)


def noise(width: int, height: int, seed: int) -> Image.Image:
    """Where a shift by a hundredth of a pixel shows."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@settings(max_examples=150)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    crop=st.integers(1, 60),
    border=st.integers(0, 60),
    top=SHARES,
    left=SHARES,
    seed=st.integers(0, 99),
)
def test_a_crop_is_that_of_the_whole_scaled_image(
    width: int, height: int, crop: int, border: int, top: float, left: float, seed: int
) -> None:
    if max(width, height) > 40 * min(width, height):
        width = height
    image = noise(width, height, seed)
    found = crop_of_scaled(image, crop + border, top, left, crop)
    whole = reference.resize(image, crop + border, antialias=True)
    y, x = int(top * (whole.height - crop + 1)), int(left * (whole.width - crop + 1))
    expected = np.asarray(whole.crop((x, y, x + crop, y + crop)))
    assert found.shape == (crop, crop, 3)
    assert_same_grey_levels(found, expected)


def test_a_crop_of_a_large_photograph_is_too(imagenet_sample: Path) -> None:
    random = np.random.default_rng(0)
    for path in sorted(imagenet_sample.rglob("*.JPEG"))[:25]:
        image = Image.open(path).convert("RGB")
        side, (top, left) = int(random.integers(256, 481)), random.random(2)
        whole = np.asarray(scale(image, side)).astype(int)
        y, x = int(top * (whole.shape[0] - 223)), int(left * (whole.shape[1] - 223))
        found = crop_of_scaled(image, side, top, left, 224)
        assert_same_grey_levels(found, whole[y : y + 224, x : x + 224])


def test_crops_begin_everywhere_alike_both_ends_included() -> None:
    columns = Image.fromarray(np.arange(40, dtype=np.uint8)[None].repeat(30, 0)).convert("RGB")
    rows = columns.transpose(Image.Transpose.TRANSPOSE)
    shares = torch.rand(22_000, generator=torch.Generator().manual_seed(0)).tolist()
    shares += [0.0, BELOW_ONE]
    starts = [crop_of_scaled(columns, 30, 0.0, share, 30)[0, 0, 0] for share in shares]
    assert starts[-2:] == [0, 10]
    counts = np.bincount(starts)
    assert len(counts) == 11
    assert np.abs(counts / 2_000 - 1).max() < 0.1
    for share in shares[-100:]:
        across = crop_of_scaled(columns, 30, 0.0, share, 30)
        assert (across == crop_of_scaled(rows, 30, share, 0.0, 30).transpose(1, 0, 2)).all()


@given(width=st.integers(1, 6000), height=st.integers(1, 6000), side=st.integers(1, 700))
def test_the_scaled_size_is_torchvisions(width: int, height: int, side: int) -> None:
    blank = torch.empty(1, 1, 1).expand(1, height, width)
    short, long = sorted((width, height))
    expected = [side, int(side * long / short)]  # as in torchvision's own code
    assert sorted(scaled_size((width, height), side)) == expected
    if max(expected) < 300 and height * width < 10**6:
        size = reference.resize(blank, [side], antialias=False).shape[1:]
        assert scaled_size((width, height), side) == (size[1], size[0])


def test_an_image_of_the_right_size_is_left_alone() -> None:
    image = noise(50, 40, 0)
    assert scale(image, 40) is image
    assert scale(image, 20).size == (25, 20)


def test_colour_shifts_have_the_covariance_of_the_principal_components() -> None:
    draws = torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0))
    shifts = colour_shifts(draws, 0.1).double()
    axes, scales = COLOUR_AXES.double(), COLOUR_SCALES.double()
    expected = axes @ torch.diag((0.1 * scales).square()) @ axes.T
    torch.testing.assert_close(shifts.T.cov(), expected, rtol=0.01, atol=2e-7)
    assert shifts.mean(0).abs().max() < 1e-4
    assert colour_shifts(draws, 0.0).abs().max() == 0


def test_each_draw_moves_the_colour_along_its_own_axis() -> None:
    along = colour_shifts(torch.eye(3), 0.5)
    for i in range(3):
        torch.testing.assert_close(along[i], 0.5 * COLOUR_SCALES[i] * COLOUR_AXES[:, i])


def test_the_axes_are_orthonormal() -> None:
    torch.testing.assert_close(COLOUR_AXES.T @ COLOUR_AXES, torch.eye(3), atol=2e-4, rtol=0)


def test_the_axes_are_those_of_real_photographs(imagenet_sample: Path) -> None:
    total, squares, count = np.zeros(3), np.zeros((3, 3)), 0
    for path in sorted(imagenet_sample.rglob("*.JPEG")):
        pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)[::10] / 255
        total, squares, count = total + pixels.sum(0), squares + pixels.T @ pixels, count + 1
        count += len(pixels) - 1
    covariance = squares / count - np.outer(total, total) / count**2
    values, axes = np.linalg.eigh(covariance)  # ascending
    values, axes = values[::-1], axes[:, ::-1]
    cosines = np.abs((axes * COLOUR_AXES.numpy()).sum(0))
    assert cosines[0] > 0.99
    assert cosines.min() > 0.9
    # They are variances, not standard deviations: the paper's multiples are of eigenvalues.
    assert values == pytest.approx(COLOUR_SCALES.numpy(), rel=0.5)


def test_a_mirrored_crop_is_the_crop_mirrored() -> None:
    image = noise(90, 70, seed=0)
    crop = crop_of_scaled(image, 50, 0.3, 0.8, 32)
    assert crop.shape == (32, 32, 3)
    assert np.array_equal(crop_of_scaled(image, 50, 0.3, 0.8, 32, mirror=True), crop[:, ::-1])
