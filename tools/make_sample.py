"""Make the sample of CIFAR-10 inside the package from the full data set.

    python tools/make_sample.py data/cifar10

The first 500 training and the first 100 test images of each class, in CIFAR-10's own order, each
class one lossless WebP mosaic of 25 tiles a row.
"""

import sys
from pathlib import Path

from PIL import Image

from deepres.data.cifar10 import CLASSES, SAMPLE_COLUMNS, ImageSet, load_cifar10

FOLDER = Path(__file__).parent.parent / "src/deepres/data/sample"


def write_mosaics(part: ImageSet, folder: Path, per_class: int) -> None:
    """Write one picture per class of the first ``per_class`` images of that class."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = per_class // SAMPLE_COLUMNS
    for label, name in enumerate(CLASSES):
        images = part.images[part.labels == label][:per_class]  # (per_class, 3, 32, 32)
        tiles = images.reshape(rows, SAMPLE_COLUMNS, 3, 32, 32)
        mosaic = tiles.permute(0, 3, 1, 4, 2).reshape(rows * 32, SAMPLE_COLUMNS * 32, 3)
        Image.fromarray(mosaic.numpy()).save(
            folder / f"{name}.webp", lossless=True, quality=100, method=6, exact=True
        )


if __name__ == "__main__":
    data = load_cifar10(Path(sys.argv[1]))
    write_mosaics(data.train, FOLDER / "train", 500)
    write_mosaics(data.test, FOLDER / "test", 100)
