"""Training images per second and peak memory against the customary script, in turns.

    python benchmarks/cifar_step.py [--data data/cifar10] [--device cuda]

The customary script is what most repositories do: per image, PIL and torchvision transforms in
DataLoader workers; an eager model in the default memory format; PyTorch's SGD. Both sides train
the same network with the same hyper-parameters, each turn in a process of its own so that neither
inherits the other's allocator, caches or workers. What counts is the ratio, turn by turn: these
times are only as steady as the machine. Memory is that of the training process alone; the
customary script's workers come on top.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from deepres.data.batches import Batches
from deepres.data.cifar10 import Cifar10, ImageSet, load_cifar10, load_sample
from deepres.data.transforms import per_pixel_mean
from deepres.models import create_model
from deepres.provenance import provenance
from deepres.recipes import get_recipe
from deepres.runtime import keep_freed_memory, make_repeatable, resolve_device
from deepres.training.classify import training_step
from deepres.training.optim import make_optimizer

BATCH_SIZE = 128
WARM_UP_STEPS = 5
RESULTS = Path(__file__).parent / "results"


class PilImages(Dataset[tuple[Tensor, int]]):
    """CIFAR-10 as torchvision serves it: each image through PIL, one at a time."""

    def __init__(self, images: ImageSet) -> None:
        self.pixels = images.images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, 32, 32, 3)
        self.labels = images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.4914, 0.4822, 0.4465), (1.0, 1.0, 1.0)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[place])), self.labels[place]


def customary_batches(train: ImageSet, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled batches for ever."""
    loader = DataLoader(
        PilImages(train), BATCH_SIZE, shuffle=True, num_workers=workers, drop_last=True
    )
    while True:
        yield from loader


def our_batches(train: ImageSet, device: torch.device) -> Batches:
    """Batches as ``deepres train`` makes them."""
    mean = per_pixel_mean(train.images)
    return Batches(train, mean, batch_size=BATCH_SIZE, pad=4, flip=True, seed=0, device=device)


def customary_step(model: str, train: ImageSet, device: torch.device) -> Callable[[int], None]:
    """The customary script's training step."""
    network = create_model(model).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    batches = customary_batches(train, workers=4 if device.type == "cuda" else 2)

    def step(number: int) -> None:
        images, labels = (tensor.to(device) for tensor in next(batches))
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(model: str, train: ImageSet, device: torch.device) -> Callable[[int], None]:
    """The step of ``deepres train``."""
    keep_freed_memory()
    make_repeatable(device)
    network = create_model(model).to(device).to(memory_format=torch.channels_last)
    recipe = get_recipe(model)
    optimizer = make_optimizer(network, recipe)
    batches = our_batches(train, device)

    def step(number: int) -> None:
        training_step(network, optimizer, *batches(number), recipe)

    return step


SIDES = {"ours": our_step, "customary": customary_step}


def measure(side: str, model: str, steps: int, data: Cifar10, device_name: str) -> dict[str, float]:
    """Time one side's steps in this process, and read its peak memory."""
    device = resolve_device(device_name)
    if side == "customary":
        torch.backends.cudnn.benchmark = True
    step = SIDES[side](model, data.train, device)
    for number in range(WARM_UP_STEPS):
        step(number)
    synchronize(device)
    began = time.perf_counter()
    for number in range(WARM_UP_STEPS, WARM_UP_STEPS + steps):
        step(number)
    synchronize(device)
    seconds = time.perf_counter() - began
    on_device = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0.0
    return {
        "images_per_s": steps * BATCH_SIZE / seconds,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "peak_device_mib": on_device,
    }


def synchronize(device: torch.device) -> None:
    """Wait for the device, where it works on its own."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_data_path(data: Cifar10, rounds: int) -> list[dict[str, float]]:
    """Time both data paths alone, in turns, on one CPU thread."""
    torch.set_num_threads(1)
    ours, theirs = our_batches(data.train, torch.device("cpu")), customary_batches(data.train, 0)
    turns: list[dict[str, float]] = []
    for turn in range(rounds + 1):
        times = {}
        for side, batches in (("ours", 200), ("customary", 15)):
            began = time.perf_counter()
            for number in range(batches):
                _ = ours(turn * batches + number) if side == "ours" else next(theirs)
            times[side] = batches * BATCH_SIZE / (time.perf_counter() - began)
        turns.append(times)
    return turns[1:]  # the first warms up


def in_own_process(side: str, model: str, options: argparse.Namespace) -> dict[str, float]:
    """Run ``measure`` in a fresh process."""
    command = [sys.executable, __file__, "--data", options.data, "--device", options.device]
    command += ["--side", side, "--models", model, "--steps", str(options.steps)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return result


def summary(turns: list[dict[str, Any]]) -> str:
    """Medians and the range of the ratio."""
    ratios = sorted(turn["ours"] / turn["customary"] for turn in turns)
    medians = [statistics.median(turn[side] for turn in turns) for side in ("ours", "customary")]
    return (
        f"{medians[0]:9,.0f} {medians[1]:11,.0f}   {statistics.median(ratios):5.2f}"
        f"  ({ratios[0]:.2f} to {ratios[-1]:.2f}, n={len(turns)})"
    )


def main() -> None:
    """Measure everything, print a table, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/cifar10", help="folder, or 'sample'")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="+", default=["resnet20", "resnet56"])
    parser.add_argument("--steps", type=int, default=30, help="steps a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--out", type=Path, help="default: a file of this machine's in results/")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    data = load_sample() if options.data == "sample" else load_cifar10(Path(options.data))
    if options.side:
        print(
            json.dumps(
                measure(options.side, options.models[0], options.steps, data, options.device)
            )
        )
        return

    results: dict[str, Any] = {"provenance": provenance(torch.device(options.device))}
    results |= {"data": data.source, "steps_per_turn": options.steps, "batch_size": BATCH_SIZE}
    for model in options.models:
        results[model] = [
            {side: in_own_process(side, model, options) for side in SIDES}
            for _ in range(options.rounds)
        ]
    results["data path, one thread"] = measure_data_path(data, options.rounds)

    slug = "-".join(results["provenance"]["hardware"].replace(",", "").lower().split())
    path = options.out or RESULTS / f"cifar_step-{slug}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")

    print(f"{results['provenance']['hardware']}, torch {torch.__version__}, {data.source}")
    print("images/s                     ours   customary   ratio")
    for model in options.models:
        speeds = [{s: turn[s]["images_per_s"] for s in SIDES} for turn in results[model]]
        print(f"{model:23} {summary(speeds)}")
    print(f"{'data path, one thread':23} {summary(results['data path, one thread'])}")
    for model in options.models:
        for where in ("peak_rss_mib", "peak_device_mib"):
            peaks = {s: max(turn[s][where] for turn in results[model]) for s in SIDES}
            if any(peaks.values()):
                print(f"{model} {where:14} {peaks['ours']:9,.0f} {peaks['customary']:11,.0f}")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
