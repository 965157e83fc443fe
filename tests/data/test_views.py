from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import picture
from PIL import Image
from torchvision import transforms as reference

from deepres.data.images import BadImage
from deepres.data.views import SCALES, VIEWS, multi_scale, one_crop, ten_crop

SIZES = st.tuples(st.integers(20, 500), st.integers(20, 500))


def assert_torchvisions_ten(image: Image.Image, crop: int, short_side: int) -> None:
    (found,) = ten_crop(image, crop, short_side)
    assert found.dtype == np.uint8
    chain = reference.Compose([reference.Resize(short_side), reference.TenCrop(crop)])
    assert np.array_equal(found, np.stack([np.asarray(view) for view in chain(image)]))


@settings(max_examples=30)
@given(size=SIZES, border=st.integers(8, 17), seed=st.integers(0, 99))
def test_ten_crops_are_torchvisions(size: tuple[int, int], border: int, seed: int) -> None:
    assert_torchvisions_ten(picture(*size, seed), 56, 56 + border)


@settings(max_examples=30)
@given(size=SIZES, border=st.integers(0, 9), seed=st.integers(0, 99))
def test_the_centre_crop_is_torchvisions(size: tuple[int, int], border: int, seed: int) -> None:
    image = picture(*size, seed)
    (found,) = one_crop(image, 56, 56 + border)
    chain = reference.Compose([reference.Resize(56 + border), reference.CenterCrop(56)])
    assert np.array_equal(found, np.asarray(chain(image))[None])


def test_real_photographs_give_torchvisions_crops(imagenet_sample: Path) -> None:
    centre = reference.Compose([reference.Resize(256), reference.CenterCrop(224)])
    for path in sorted(imagenet_sample.rglob("*.JPEG"))[::12]:
        image = Image.open(path).convert("RGB")
        assert_torchvisions_ten(image, 224, 256)
        assert np.array_equal(one_crop(image, 224, 256)[0][0], np.asarray(centre(image)))


@pytest.mark.parametrize(
    ("crop", "given", "taken"),
    [(32, 32, 37), (224, 224, 256), (224, 240, 256), (288, 303, 329), (224, 300, 300)],
)
def test_ten_crops_have_a_border_even_where_the_centre_crop_has_little(
    crop: int, given: int, taken: int
) -> None:
    image = picture(320, 300)
    (found,) = ten_crop(image, crop, given)
    chain = reference.Compose([reference.Resize(taken), reference.TenCrop(crop)])
    assert np.array_equal(found, np.stack([np.asarray(view) for view in chain(image)]))
    assert len({*map(bytes, found)}) == 10


def test_many_scales_are_the_whole_image_and_its_mirror_image() -> None:
    image = picture(300, 200)
    views = multi_scale(image, 224, 256)
    assert SCALES == (224, 256, 384, 480, 640)  # §3.4
    assert [pixels.shape for pixels in views] == [
        (2, side, side * 3 // 2, 3) for side in (224, 256, 384, 480, 640)
    ]
    for side, (whole, mirrored) in zip(SCALES, views, strict=True):
        resized = reference.Resize(side)(image)
        assert np.array_equal(whole, np.asarray(resized))
        flipped = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert np.array_equal(mirrored, np.asarray(flipped))


def test_the_scales_keep_their_proportion_to_the_crop() -> None:
    shorter = [pixels.shape[2] for pixels in multi_scale(picture(40, 60), 32, 32)]
    assert shorter == [32, 37, 55, 69, 91]


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("size", [(1, 1), (1, 30), (64, 64), (65, 64), (900, 70)])
def test_every_size_of_image_gives_whole_views(
    view: Callable[..., list], size: tuple[int, int]
) -> None:
    for pixels in view(picture(*size), 56, 64):
        assert pixels.ndim == 4
        assert pixels.shape[3] == 3
        assert min(pixels.shape[1:3]) >= 56


def test_of_a_strip_only_the_crops_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaled, it would have 82 million pixels; whole, it cannot be seen."""
    made: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def noted(image: Image.Image, size: tuple[int, int], *arguments: object, **more: object):
        made.append(size)
        return resize(image, size, *arguments, **more)

    monkeypatch.setattr(Image.Image, "resize", noted)
    for strip in (Image.new("RGB", (1, 20_000)), Image.new("RGB", (20_000, 1))):
        assert one_crop(strip, 56, 64)[0].shape == (1, 56, 56, 3)
        assert ten_crop(strip, 56, 64)[0].shape == (10, 56, 56, 3)
        with pytest.raises(BadImage, match=r"too long to be seen whole: .* scaled to a short side"):
            multi_scale(strip, 224, 256)
    assert set(made) == {(56, 56)}


@pytest.mark.parametrize("size", [(40, 900), (900, 41), (123, 77)])
def test_crops_of_strips_are_those_of_others(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(*size)
    expected = one_crop(image, 56, 65) + ten_crop(image, 56, 65)
    monkeypatch.setattr("deepres.data.crops.MOST_SCALED", 0)
    found = one_crop(image, 56, 65) + ten_crop(image, 56, 65)
    for cut, whole in zip(found, expected, strict=True):
        assert np.abs(cut.astype(int) - whole).max() <= 2  # Pillow rounds twice
