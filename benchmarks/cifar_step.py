"""Training steps on CIFAR-10 against the customary script, in turns.

    python benchmarks/cifar_step.py [--data data/cifar10] [--device cuda]

The customary script is what most repositories do: per image, PIL and torchvision transforms in
DataLoader workers; an eager model in the default memory format; PyTorch's SGD; on CUDA
cudnn.benchmark. All sides train the same network with the same hyper-parameters. "ours" is the step
of ``deepres train``, "ours, plain" that of ``--no-fused-kernels --precision fp32``. On CUDA there
are also "ours, cuDNN", that of ``--no-fused-convolutions``, and "compiled", the strongest peer that
PyTorch alone makes: torch.compile with CUDA graphs, bf16, channels last, on batches that ours makes
on the device. What the machine does at most takes its turn too.

Each turn has a process of its own, so that none inherits another's allocator, caches or workers.
What counts is the ratio, turn by turn: these times are only as steady as the machine. Memory is
that of the training process alone; the customary script's workers come on top.
"""

import argparse
import dataclasses
import itertools
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pil_images import PilImages
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from turns import (
    LIMIT,
    SHARE_OF_LIMIT,
    Turn,
    limit_line,
    limits,
    ratios,
    seconds,
    shares_of_limit,
    spread,
    summary,
    take_turns,
    values,
    write_results,
)

from deepres.data.batches import Batches
from deepres.data.cifar10 import Cifar10, ImageSet, load_cifar10, load_sample
from deepres.data.transforms import per_pixel_mean
from deepres.execution import Execution
from deepres.models import build_network
from deepres.models.complexity import total_cost
from deepres.models.create import build_empty
from deepres.provenance import provenance
from deepres.recipes.cifar10 import section_4_2
from deepres.runtime import (
    has_native_bf16,
    keep_freed_memory,
    make_repeatable,
    resolve_device,
)
from deepres.training.optim import make_optimizer
from deepres.training.step import make_step

SIDES = OURS, CUDNN, PLAIN, COMPILED, CUSTOMARY = (
    "ours",
    "ours, cuDNN",
    "ours, plain",
    "compiled",
    "customary",
)
BATCH_SIZE = 128
WARM_UP_STEPS = 5
PAPERS_STEPS = 64_000


def customary_batches(train: ImageSet, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled batches for ever."""
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.4914, 0.4822, 0.4465), (1.0, 1.0, 1.0)),
        ]
    )
    loader = DataLoader(
        PilImages(train, transform), BATCH_SIZE, shuffle=True, num_workers=workers, drop_last=True
    )
    while True:
        yield from loader


def our_batches(train: ImageSet, device: torch.device) -> Batches:
    """Batches as ``deepres train`` makes them."""
    mean = per_pixel_mean(train.images)
    return Batches(train, mean, section_4_2("resnet20"), 0, Execution(device))


def customary_step(model: str, train: ImageSet, device: torch.device) -> Callable[[int], object]:
    """The customary script's training step."""
    torch.backends.cudnn.benchmark = True
    network = build_network(model).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    batches = customary_batches(train, workers=4 if device.type == "cuda" else 2)

    def step(number: int) -> None:
        images, labels = (tensor.to(device) for tensor in next(batches))
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def compiled_step(model: str, train: ImageSet, device: torch.device) -> Callable[[int], object]:
    """The training step of a script that does all that PyTorch offers."""
    torch.backends.cudnn.benchmark = True
    network = build_network(model).to(device).to(memory_format=torch.channels_last)
    network.compile(mode="reduce-overhead")
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True
    )
    batches = our_batches(train, device)

    def step(number: int) -> None:
        images, labels = batches(number)
        with torch.autocast(device.type, torch.bfloat16):
            loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(
    side: str, model: str, train: ImageSet, device: torch.device
) -> Callable[[int], object]:
    """The step of ``deepres train``."""
    plain = side == PLAIN
    keep_freed_memory()
    make_repeatable(device)
    network = build_network(model).to(device).to(memory_format=torch.channels_last)
    recipe = dataclasses.replace(section_4_2(model), precision="fp32" if plain else "auto")
    optimizer, batches = make_optimizer(network, recipe), our_batches(train, device)
    here = Execution(device, fused_kernels=not plain, fused_convolutions=side != CUDNN)
    step = make_step(network, optimizer, batches.prepare, recipe, here)
    return lambda number: step(*batches.take(number))


def precisions(device: torch.device) -> dict[str, str]:
    """Return in which precision each side computes."""
    ours = "bf16" if has_native_bf16(device) else "fp32"
    on_cuda = {CUDNN: ours, COMPILED: "bf16"} if device.type == "cuda" else {}
    return {OURS: ours, **on_cuda, PLAIN: "fp32", CUSTOMARY: "fp32"}


def measure(side: str, options: argparse.Namespace, data: Cifar10) -> dict[str, Any]:
    """Time one side's steps in this process, and read its peak memory."""
    device = resolve_device(options.device)
    if side == LIMIT:
        return limits(device, *dict.fromkeys(precisions(device).values()))
    if side == CUSTOMARY:
        step = customary_step(options.model, data.train, device)
    elif side == COMPILED:
        step = compiled_step(options.model, data.train, device)
    else:
        step = our_step(side, options.model, data.train, device)
    numbers = itertools.count()
    seconds(lambda: step(next(numbers)), WARM_UP_STEPS, device)
    taken = seconds(lambda: step(next(numbers)), options.steps, device)
    on_device = torch.cuda.max_memory_reserved() / 2**20 if device.type == "cuda" else 0.0
    return {
        "images_per_s": options.steps * BATCH_SIZE / taken,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "peak_device_mib": on_device,
    }


def shares_by_model(found: dict[str, list[Turn]], device: torch.device) -> dict[str, list[float]]:
    """Return the sides' shares of the limit in their precision: model and side → turn by turn."""
    shares = {}
    for model, turns in found.items():
        cost = 6 * total_cost(build_empty(model), 32).multiply_adds  # as in imagenet_step.py
        timed = {side: each for side, each in precisions(device).items() if side in turns[0]}
        for side, each in shares_of_limit(turns, timed, cost).items():
            shares[f"{model}, {side}"] = each
    return shares


def measure_data_path(data: Cifar10, turns: int) -> list[dict[str, dict[str, Any]]]:
    """Time both data paths alone, in turns, on one CPU thread."""
    torch.set_num_threads(1)
    ours, theirs = our_batches(data.train, torch.device("cpu")), customary_batches(data.train, 0)
    taken: list[dict[str, dict[str, Any]]] = []
    for turn in range(turns + 1):
        taken.append({})
        for side, batches in ((OURS, 200), (CUSTOMARY, 15)):
            began = time.perf_counter()
            for number in range(batches):
                _ = ours(turn * batches + number) if side == OURS else next(theirs)
            speed = batches * BATCH_SIZE / (time.perf_counter() - began)
            taken[turn][side] = {"images_per_s": speed}
    return taken[1:]  # the first warms up


def print_table(name: str, turns: list[dict[str, dict[str, Any]]]) -> None:
    """Print each side's speed, ratio and memory."""
    for side in turns[0]:
        if side == LIMIT:
            continue
        speeds = values(turns, side)
        if not speeds:
            print(f"{name:22} {side:12} skipped: {turns[0][side]['skipped']}")
            continue
        line = f"{name:22} {side:12} {spread(speeds, 0):28}"
        if side != CUSTOMARY and CUSTOMARY in turns[0]:
            line += f" {spread(ratios(turns, side, CUSTOMARY)):24}"
        on_device, resident = (
            max(values(turns, side, key), default=0.0)
            for key in ("peak_device_mib", "peak_rss_mib")
        )
        if resident:
            whole = PAPERS_STEPS * BATCH_SIZE / statistics.median(speeds)
            line += f"  64k steps: {whole:,.0f} s, {on_device or resident:,.0f} MiB"
        print(line)


def main() -> None:
    """Measure everything, print a table, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/cifar10", help="folder, or 'sample'")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="+", default=["resnet20", "resnet56"])
    parser.add_argument("--steps", type=int, default=30, help="steps a turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each side")
    parser.add_argument("--ours-only", action="store_true", help="without the peers")
    parser.add_argument("--sides", nargs="+", choices=SIDES, help="default: all of the device's")
    parser.add_argument("--out", type=Path, help="default: a file of this machine's in results/")
    parser.add_argument("--side", choices=[LIMIT, *SIDES], help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    options = parser.parse_args()
    data = load_sample() if options.data == "sample" else load_cifar10(Path(options.data))
    if options.side:
        print(json.dumps(measure(options.side, options, data)))
        return

    device = torch.device(options.device)
    on_device = SIDES if device.type == "cuda" else [OURS, PLAIN, CUSTOMARY]
    sides = [OURS] if options.ours_only else [LIMIT, *(options.sides or on_device)]
    arguments = ["--data", options.data, "--device", options.device, "--steps", str(options.steps)]
    now = provenance(device)  # before the data path takes one thread
    found = {
        model: take_turns(__file__, sides, options.turns, [*arguments, "--model", model])
        for model in options.models
    }
    shares = {} if options.ours_only else shares_by_model(found, device)
    chosen = options.ours_only or options.sides
    if device.type == "cpu" and not chosen:  # on CUDA ours makes its batches there
        found["data path, one thread"] = measure_data_path(data, options.turns)
    results: dict[str, Any] = {
        "provenance": now,
        "data": data.source,
        "steps_per_turn": options.steps,
        "batch_size": BATCH_SIZE,
        "summary": {
            f"{name}, {side}": measured
            for name, turns in found.items()
            for side, measured in summary(turns, [CUSTOMARY] if CUSTOMARY in sides else []).items()
        },
        SHARE_OF_LIMIT: shares,
        "turns": found,
    }
    name = "cifar_step" + ("-" + "-".join(options.models) if options.ours_only else "")
    path = write_results(name, results, options.out)
    print(
        f"training, {now['hardware']}, torch {torch.__version__}, {data.source}, n={options.turns}"
    )
    print(f"{'':22} {'':12} {'images/s':28} times {CUSTOMARY}")
    for name, turns in found.items():
        print_table(name, turns)
    for name, each in shares.items():
        print(f"{SHARE_OF_LIMIT}, {name}: {spread(each)}")
    if shares:
        first = found[options.models[0]]
        for precision in dict.fromkeys(precisions(device).values()):
            print(limit_line(first, precision))
    print(f"written to {path}")


if __name__ == "__main__":
    main()
