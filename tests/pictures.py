"""Made-up photographs, and folders of them, for tests."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from deepres.data.images import BadImage


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some noise, another picture for each seed."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noisy = smooth + random.integers(-20, 21, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def save_pictures(folder: Path, sizes: Iterable[tuple[int, int]], seed: int = 0) -> None:
    """Write a JPEG of each size into ``folder``, named 000.jpg, 001.jpg, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (width, height) in enumerate(sizes):
        picture(width, height, seed + i).save(folder / f"{i:03}.jpg", quality=92)


def image_folder(root: Path, classes: int = 2, train: int = 12, val: int = 5) -> Path:
    """Make train/<class>/ and val/<class>/ of JPEGs with sides from 40 to 80 pixels."""
    random = np.random.default_rng(7)
    for label in range(classes):
        for part, count in (("train", train), ("val", val)):
            sizes = [(int(w), int(h)) for w, h in random.integers(40, 81, (count, 2))]
            first = 1000 * label + (500 if part == "val" else 0)
            save_pictures(root / part / f"class{label}", sizes, first)
    return root


class OneIsBad(Dataset[int]):
    """Whole numbers for images, of which 1 cannot be decoded.

    Processes that decode find it in this module, not in one of pytest's.
    """

    def __getitem__(self, i: int) -> int:
        if i == 1:
            raise BadImage("1: not an image")
        return i
