"""ResNet-50's training images per second, ours against torchvision's and timm's model, in turns.

    python benchmarks/imagenet_step.py [--device cuda]

The peers train as a careful script does: bf16 under autocast, channels-last, cudnn.benchmark, SGD;
eager and compiled. Ours is the step of ``deepres train``, which on CUDA gives the same bits each
time. Images are random and already on the device; each turn has a process of its own, and a large
bf16 matrix product takes its turn too.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from turns import (
    LIMIT,
    SHARE_OF_LIMIT,
    limit_line,
    limits,
    peer_versions,
    ratios,
    seconds,
    shares_of_limit,
    spread,
    summary,
    take_turns,
    values,
    write_results,
)

from deepres.execution import Execution
from deepres.models import build_network
from deepres.models.complexity import total_cost
from deepres.models.create import build_empty
from deepres.provenance import provenance
from deepres.recipes.imagenet import section_3_4
from deepres.runtime import keep_freed_memory, make_repeatable, resolve_device
from deepres.speed.work import as_they_are
from deepres.training.optim import make_optimizer
from deepres.training.step import make_step

PEERS = ("torchvision", "timm", "torchvision, compiled", "timm, compiled")
OURS = "ours"
TRAINED = (OURS, *PEERS)
SIDES = (LIMIT, *TRAINED)
"""What compiles comes last, as it takes the longest."""
WARM_UP_STEPS = 3


def peer_step(
    side: str, device: torch.device, images: Tensor, labels: Tensor
) -> Callable[[], object]:
    """A careful script's training step."""
    torch.backends.cudnn.benchmark = True
    if side.startswith("timm"):
        import timm  # takes seconds, and is not everywhere

        network: nn.Module = timm.create_model("resnet50")
    else:
        network = torchvision.models.resnet50()
    network.train().to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    if side.endswith("compiled"):
        network.compile()

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(device: torch.device, images: Tensor, labels: Tensor) -> Callable[[], object]:
    """The step of ``deepres train``, of a network that down-samples where the peers' do."""
    make_repeatable(device)
    network = build_network("resnet50", stride_on="3x3")
    network.train().to(device).to(memory_format=torch.channels_last)
    recipe = dataclasses.replace(section_3_4("resnet50"), precision="bf16")
    optimizer = make_optimizer(network, recipe)
    take = make_step(network, optimizer, as_they_are, recipe, Execution(device))
    return lambda: take(images, labels)


def measure(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time one side's steps in this process."""
    device = resolve_device(options.device)
    if side == LIMIT:
        return limits(device, "bf16")
    keep_freed_memory()
    images = torch.randn(options.batch, 3, options.size, options.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(1000, (options.batch,), device=device)
    try:
        if side == OURS:
            step = our_step(device, images, labels)
        else:
            step = peer_step(side, device, images, labels)
        seconds(step, WARM_UP_STEPS, device)
    except Exception as error:  # there are many ways to have no peer, or no compiler that works
        if side == OURS:
            raise
        return {"skipped": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    taken = seconds(step, options.steps, device)
    peak = torch.cuda.max_memory_reserved() / 2**20 if device.type == "cuda" else 0.0
    return {"images_per_s": options.steps * options.batch / taken, "peak_device_mib": peak}


def main() -> None:
    """Measure in turns, print a table, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--size", type=int, default=224, help="side of the images, in pixels")
    parser.add_argument("--steps", type=int, default=20, help="steps a turn")
    parser.add_argument("--turns", type=int, default=3, help="turns of each side")
    parser.add_argument("--out", type=Path, help="default: a file of this machine's in results/")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options)))
        return

    sizes = {name: getattr(options, name) for name in ("batch", "size", "steps")}
    arguments = ["--device", options.device]
    arguments += [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    turns = take_turns(__file__, SIDES, options.turns, arguments)
    network = build_empty("resnet50", stride_on="3x3")
    # The backward pass computes two products for each of the forward pass.
    cost = 6 * total_cost(network, options.size).multiply_adds
    share = shares_of_limit(turns, dict.fromkeys(TRAINED, "bf16"), cost)
    results: dict[str, Any] = {
        "provenance": provenance(torch.device(options.device)),
        **peer_versions(),
        "precision": "bf16",
        **sizes,
        "operations per image": cost,
        "summary": summary(turns, PEERS),
        SHARE_OF_LIMIT: share,
        "turns": turns,
    }
    path = write_results("imagenet_step", results, options.out)
    hardware = results["provenance"]["hardware"]
    print(f"ResNet-50 training, bf16, {hardware}, torch {torch.__version__}, {sizes}")
    print(
        f"{'n=' + str(options.turns):22} {'images/s':26} {'times torchvision':22} {SHARE_OF_LIMIT}"
    )
    for side in TRAINED:
        if not values(turns, side):
            print(f"{side:22} skipped: {turns[0][side]['skipped']}")
            continue
        speed, ratio = spread(values(turns, side), 1), spread(ratios(turns, side, PEERS[0]))
        print(f"{side:22} {speed:26} {ratio:22} {spread(share[side])}")
    print(f"{limit_line(turns, 'bf16')}\nwritten to {path}")


if __name__ == "__main__":
    main()
