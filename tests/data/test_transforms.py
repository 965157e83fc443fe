import pytest
import torch
import torchvision.transforms.v2.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from deepres.data.transforms import augmented_batch, padded_windows, per_pixel_mean, prepare
from deepres.errors import UserError


def test_the_mean_is_exact() -> None:
    images = torch.randint(256, (1000, 3, 4, 4), dtype=torch.uint8)
    expected = images.double().mean(0) / 255
    torch.testing.assert_close(per_pixel_mean(images).double(), expected, atol=1e-7, rtol=0)


@settings(max_examples=50)
@given(
    pad=st.integers(0, 5),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 2**31),
)
def test_crops_are_torchvisions(pad: int, height: int, width: int, seed: int) -> None:
    """Prepare, pad, crop and mirror each image on its own, by torchvision's functions."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (5, 3, height, width), dtype=torch.uint8, generator=generator)
    mean = per_pixel_mean(images)
    index = torch.randint(5, (8,), generator=generator)
    top, left = (torch.randint(2 * pad + 1, (8,), generator=generator) for _ in range(2))
    flip = torch.randint(2, (8,), generator=generator).bool()

    image_windows, mean_windows = padded_windows(images, pad), padded_windows(mean[None], pad)
    batch = augmented_batch(image_windows, mean_windows, index, top, left, flip)

    for i in range(8):
        expected = reference.pad(prepare(images[index[i], None], mean)[0], [pad])
        expected = reference.crop(expected, int(top[i]), int(left[i]), height, width)
        expected = reference.horizontal_flip(expected) if flip[i] else expected
        torch.testing.assert_close(batch[i], expected, atol=1e-7, rtol=0)


def test_batches_are_channels_last() -> None:
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    zeros = torch.zeros(2, dtype=torch.int64)
    mean = torch.zeros(1, 3, 32, 32)
    batch = augmented_batch(
        padded_windows(images, 4), padded_windows(mean, 4), zeros, zeros, zeros, zeros.bool()
    )
    assert batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.bool])
def test_only_bytes_are_prepared(dtype: torch.dtype) -> None:
    """Of float32 they would be changed in place, and a second answer would be another."""
    images = torch.ones(1, 3, 4, 4, dtype=dtype)
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(UserError, match=rf"from 0 to 255, got {name}; turn pixels"):
        prepare(images, torch.zeros(3, 1, 1))
    assert torch.equal(images, torch.ones(1, 3, 4, 4, dtype=dtype))
