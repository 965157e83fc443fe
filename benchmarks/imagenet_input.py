"""Training images per second that one core prepares from JPEG files, against torchvision's way.

    python benchmarks/imagenet_input.py FOLDER

Two peers, each in a DataLoader without workers, since it is one core that is measured:

- torchvision's reference training: RandomResizedCrop, flip, ToTensor, Normalize. Its crops are
  another augmentation than the paper's;
- the paper's (§3.4) from torchvision's parts: Resize to a random shorter side, RandomCrop, flip,
  ToTensor, Normalize; without the colour augmentation, for which torchvision has no part.

Ours is what ``deepres train`` does, colour included: all of it on this core, and what is left for a
worker process when a GPU does the float part. "decoding" is Pillow alone, from file to RGB: nobody
who decodes whole images with Pillow can be faster.

Images per second are of CPU time, which other work on the machine disturbs less than wall time;
the files are in the page cache.
"""

import argparse
import dataclasses
import json
import random
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets.folder import pil_loader
from turns import ratios, spread, summary, take_turns, values, write_results

from deepres.data.folder import ImageFiles, open_test_images
from deepres.data.stream import CropStream, StreamedBatches
from deepres.execution import Execution
from deepres.provenance import provenance
from deepres.recipes import ImageNetRecipe
from deepres.recipes.imagenet import section_3_4
from deepres.runtime import keep_freed_memory

CPU = torch.device("cpu")
PEERS = ("RandomResizedCrop", "paper by parts")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TorchvisionImages(Dataset[tuple[Tensor, int]]):
    """Image files as torchvision's ImageFolder serves them."""

    def __init__(self, files: ImageFiles, transform: Callable[[Image.Image], Tensor]) -> None:
        self.paths = [str(files.root / name) for name in files.names]
        self.labels, self.transform = files.labels, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.transform(pil_loader(self.paths[place])), self.labels[place]


class RandomResize:
    """Scales an image to a shorter side that is drawn anew each time."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the scaled image."""
        scaled: Image.Image = transforms.Resize(random.randint(self.low, self.high))(image)
        return scaled


def torchvision_batches(
    files: ImageFiles, recipe: ImageNetRecipe, crops: list[Callable[[Image.Image], Image.Image]]
) -> Callable[[], object]:
    """Batches by a DataLoader; ``crops`` come before what both peers share."""
    rest = [transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    transform = transforms.Compose([*crops, *rest, transforms.Normalize(MEAN, STD)])
    images = TorchvisionImages(files, transform)
    loader = DataLoader(images, recipe.batch_size, shuffle=True, drop_last=True)

    def batches() -> Iterator[object]:
        while True:
            yield from loader

    return batches().__next__


def resized_crops(files: ImageFiles, recipe: ImageNetRecipe) -> Callable[[], object]:
    """Torchvision's reference pipeline."""
    return torchvision_batches(files, recipe, [transforms.RandomResizedCrop(recipe.crop)])


def paper_by_parts(files: ImageFiles, recipe: ImageNetRecipe) -> Callable[[], object]:
    """The paper's augmentation, written as most would write it."""
    crops = [RandomResize(*recipe.short_side), transforms.RandomCrop(recipe.crop)]
    return torchvision_batches(files, recipe, crops)


def ours(files: ImageFiles, recipe: ImageNetRecipe) -> Callable[[], object]:
    """The batches of ``deepres train``, with the float part on this core too."""
    keep_freed_memory()
    mean = torch.tensor(MEAN)[:, None, None].expand(3, recipe.crop, recipe.crop)
    batches = StreamedBatches(files, mean, recipe, 0, Execution(CPU, workers=0))
    steps = iter(range(recipe.steps))
    return lambda: batches(next(steps))


def our_worker(files: ImageFiles, recipe: ImageNetRecipe) -> Callable[[], object]:
    """What a worker process of ``deepres train`` does: bytes, cropped and stacked."""
    keep_freed_memory()
    stream = CropStream(files, recipe, 0, slice(None))
    steps = iter(range(recipe.steps))
    return lambda: stream[next(steps)]


def decoding(files: ImageFiles, recipe: ImageNetRecipe) -> Callable[[], object]:
    """Pillow's decoder and nothing else."""
    keep_freed_memory()
    paths = cycle(files.root / name for name in files.names)

    def batch() -> None:
        for _ in range(recipe.batch_size):
            with Image.open(next(paths)) as image:
                image.load() if image.mode == "RGB" else image.convert("RGB")

    return batch


SIDES = {
    "decoding": decoding,
    "our worker": our_worker,
    "ours": ours,
    "RandomResizedCrop": resized_crops,
    "paper by parts": paper_by_parts,
}


def measure(side: str, files: ImageFiles, recipe: ImageNetRecipe, batches: int) -> dict[str, float]:
    """Time one side in this process, on one thread."""
    torch.manual_seed(0)
    random.seed(0)
    next_batch = SIDES[side](files, recipe)
    next_batch()  # warms up
    began = time.process_time()
    for _ in range(batches):
        next_batch()
    return {"images_per_s": batches * recipe.batch_size / (time.process_time() - began)}


def differing(files: ImageFiles) -> int:
    """Return how many images we decode to other pixels than Pillow does by itself."""
    count = 0
    for i, name in enumerate(files.names):
        with Image.open(files.root / name) as image:
            upright = ImageOps.exif_transpose(image.convert("RGB"))
        count += files.image(i).tobytes() != upright.tobytes()
    return count


def choose(folder: Path, most: int) -> ImageFiles:
    """Return at most so many of the folder's JPEG files, spread evenly over it."""
    files, _ = open_test_images(folder)
    places = [i for i, n in enumerate(files.names) if n.lower().endswith((".jpg", ".jpeg"))]
    if not places:
        raise SystemExit(f"{folder} holds no JPEG files")
    chosen = places[:: -(-len(places) // most)]
    names = tuple(files.names[i] for i in chosen)
    return ImageFiles(files.root, names, tuple(files.labels[i] for i in chosen))


def main() -> None:
    """Measure in turns, print a table, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="JPEG files, at any depth")
    parser.add_argument("--turns", type=int, default=5, help="turns of each side")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--batches", type=int, default=10, help="batches a turn")
    parser.add_argument("--images", type=int, default=1_000, help="files to take, at most")
    parser.add_argument("--out", type=Path, help="default: a file of this machine's in results/")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = choose(options.folder, options.images)
    batch = min(options.batch, len(files))
    recipe = dataclasses.replace(section_3_4("resnet50"), batch_size=batch)
    if options.side:
        print(json.dumps(measure(options.side, files, recipe, options.batches)))
        return

    if odd := differing(files):
        raise SystemExit(f"{odd} of {len(files)} images are not decoded to Pillow's pixels")
    pixels = [image.width * image.height for image in map(files.image, range(len(files)))]
    sizes = [(files.root / name).stat().st_size for name in files.names]
    arguments = [str(options.folder), "--batch", str(batch), "--batches", str(options.batches)]
    arguments += ["--images", str(options.images)]
    turns = take_turns(__file__, list(SIDES), options.turns, arguments)
    share = ratios(turns, "ours", "decoding")
    results = {
        "provenance": provenance(CPU),
        "images": len(files),
        "mean megapixels": sum(pixels) / len(pixels) / 1e6,
        "mean kilobytes": sum(sizes) / len(sizes) / 1e3,
        "decoded to Pillow's pixels": len(files),
        "batch_size": batch,
        "batches_per_turn": options.batches,
        "summary": summary(turns, PEERS),
        "decoding's share of ours": share,
        "turns": turns,
    }
    path = write_results("imagenet_input", results, options.out)
    print(f"{results['provenance']}\nimages per second of one core's CPU time, n={options.turns}")
    for side in SIDES:
        against = [f"{spread(ratios(turns, side, peer))} times {peer}" for peer in PEERS]
        print(f"{side:18} {spread(values(turns, side), 0):22} {'; '.join(against)}")
    print(f"all {len(files)} images are decoded to Pillow's own pixels")
    print(f"decoding takes {spread(share)} of our time\nwritten to {path}")


if __name__ == "__main__":
    main()
