from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization_views import (
    SeenImages,
    View,
    batches_of_one_size,
    views_called,
)
from deepres.data.images import BadImage
from deepres.errors import UserError


def boxed(paths: list[Path], sizes: list[tuple[int, int]]) -> BoxedImages:
    count = len(paths)
    return BoxedImages(
        tuple(paths),
        torch.tensor(sizes),
        torch.zeros(count, dtype=torch.int64),
        torch.tensor([[0.0, 0, 1, 1]]).repeat(count, 1),
        torch.arange(count + 1),
    )


def test_the_tests_of_a_network_for_crops_of_224() -> None:
    assert views_called("1-crop", 224, 256) == (View(256, 224),)
    assert views_called("single-scale", 224, 256) == (View(256, None),)
    sides = [view.short_side for view in views_called("multi-scale", 224, 256)]
    assert sides == [224, 256, 384, 480, 640]
    assert [view.short_side for view in views_called("multi-scale", 56, 64)][:2] == [56, 64]
    with pytest.raises(UserError, match="unknown view 'crop'"):
        views_called("crop", 224, 256)


def test_what_is_seen_has_its_place_in_the_image() -> None:
    whole = View(256, None)
    assert whole.size(1000, 500) == (512, 256)
    assert whole.window(1000, 500) == (0, 0, 1000, 500)
    # 512×256: the crop begins at (144, 16), each pixel of which is 1.953125 in the image
    centre = View(256, 224)
    assert centre.size(1000, 500) == (224, 224)
    assert centre.window(1000, 500) == (281.25, 31.25, 718.75, 468.75)


def test_pixels_are_those_of_the_window(tmp_path: Path) -> None:
    """A file of another size than annotated is looked at as if it were of the annotated one."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60, 0] = np.arange(20, 60) * 4
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).resize((160, 80), Image.Resampling.NEAREST).save(tmp_path / "b.png")
    images = boxed([tmp_path / "a.png", tmp_path / "b.png"], [(80, 40)] * 2)
    seen = SeenImages(images, [[0, 1]], [View(40, None), View(40, 32)])[0]
    assert seen.indices.tolist() == [0, 1]
    whole, centre = seen.views
    assert torch.equal(whole[0], torch.from_numpy(pixels))
    assert torch.equal(centre[0], whole[0, 4:36, 24:56])
    assert (whole[1].float() - whole[0].float())[:, 22:58].abs().max() <= 1
    assert (centre[1].float() - centre[0].float()).abs().max() <= 1


def test_a_file_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    seen = SeenImages(boxed([tmp_path / "a.png"], [(8, 8)]), [[0]], [View(8, None)])
    with pytest.raises(BadImage, match=rf"^{tmp_path}/a.png: no such file$"):
        seen[0]


def test_a_strip_that_scaled_would_take_all_memory_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (20_000, 1)).save(tmp_path / "strip.png")
    images = boxed([tmp_path / "strip.png"], [(20_000, 1)])
    seen = SeenImages(images, [[0]], [View(64, 56), View(64, None)])
    named = rf"^{tmp_path}/strip.png: too long to be seen whole: 20000×1 pixels"
    with pytest.raises(BadImage, match=named):
        seen[0]
    assert SeenImages(images, [[0]], [View(64, 56)])[0].views[0].shape == (1, 56, 56, 3)


def test_batches_have_images_of_one_size() -> None:
    sizes = [(64, 64)] * 3 + [(80, 64)] + [(64, 64)] * 2
    images = boxed([Path(f"{i}") for i in range(6)], sizes)
    views = views_called("single-scale", 56, 64)
    assert batches_of_one_size(images, range(6), views) == [[0, 1, 2, 4, 5], [3]]
    assert batches_of_one_size(images, [0, 2, 4], views) == [[0, 2, 4]]
    large = boxed([Path(f"{i}") for i in range(300)], [(500, 500)] * 300)
    lengths = map(
        len, batches_of_one_size(large, range(300), views_called("single-scale", 224, 256))
    )
    assert list(lengths) == [128, 128, 44]
