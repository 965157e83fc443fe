"""ResNet-50's training images per second, ours against torchvision's and timm's model, in turns.

    python benchmarks/imagenet_step.py [--device cuda]

One harness, ``deepres train``'s step, for three models: bf16 under autocast, channels-last, SGD.
"repeatable" is ours as ``deepres train`` runs it on CUDA, where the same bits each time
cost some speed. Images are random and already on the device; each turn has a process of its own,
and a large bf16 matrix product takes its turn too.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from turns import (
    matmul_flops,
    peer_versions,
    ratios,
    seconds,
    spread,
    summary,
    take_turns,
    values,
    write_results,
)

from deepres.models import create_model
from deepres.models.complexity import total_cost
from deepres.provenance import provenance
from deepres.recipes.imagenet import section_3_4
from deepres.runtime import keep_freed_memory, make_repeatable, resolve_device
from deepres.training.classify import training_step
from deepres.training.optim import make_optimizer

PEERS = ("torchvision", "timm")
MATMUL = "matmul"
SIDES = (*PEERS, "ours", "ours, repeatable", MATMUL)
WARM_UP_STEPS = 3


def make_network(side: str) -> nn.Module:
    """Build a side's network; all down-sample in the 3×3, so that all do the same work."""
    if side == "torchvision":
        network: nn.Module = torchvision.models.resnet50()
    elif side == "timm":
        import timm  # takes seconds, and is not everywhere

        network = timm.create_model("resnet50")
    else:
        network = create_model("resnet50", stride_on="3x3")
    return network


def measure(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time one side's steps in this process."""
    device = resolve_device(options.device)
    if side == MATMUL:
        return {"flops": matmul_flops(device, torch.bfloat16)}
    keep_freed_memory()
    torch.backends.cudnn.benchmark = True
    if side.endswith("repeatable"):
        make_repeatable(device)
    try:
        network = make_network(side).train().to(device).to(memory_format=torch.channels_last)
    except ImportError as error:
        return {"skipped": str(error)}
    recipe = dataclasses.replace(section_3_4("resnet50"), precision="bf16")
    optimizer = make_optimizer(network, recipe)
    images = torch.randn(options.batch, 3, options.size, options.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(1000, (options.batch,), device=device)

    def step() -> None:
        training_step(network, optimizer, images, labels, recipe)

    seconds(step, WARM_UP_STEPS, device)
    taken = seconds(step, options.steps, device)
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0.0
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
    with torch.device("meta"):
        network = create_model("resnet50", stride_on="3x3")
    # The backward pass computes two products for each of the forward pass.
    cost = 6 * total_cost(network, options.size).multiply_adds
    trained = SIDES[:-1]
    share = {
        side: [
            turn[side]["images_per_s"] * cost / turn[MATMUL]["flops"]
            for turn in turns
            if "images_per_s" in turn[side]
        ]
        for side in trained
    }
    results: dict[str, Any] = {
        "provenance": provenance(torch.device(options.device)),
        **peer_versions(),
        "precision": "bf16",
        **sizes,
        "operations per image": cost,
        "summary": summary(turns, PEERS),
        "share of matmul": share,
        "turns": turns,
    }
    path = write_results("imagenet_step", results, options.out)
    hardware, matmul = results["provenance"]["hardware"], values(turns, MATMUL, "flops")
    print(f"ResNet-50 training, bf16, {hardware}, torch {torch.__version__}, {sizes}")
    print(
        f"{'n=' + str(options.turns):18} {'images/s':26} {'times torchvision':22} share of matmul"
    )
    for side in trained:
        if not values(turns, side):
            print(f"{side:18} skipped: {turns[0][side]['skipped']}")
            continue
        speed, ratio = spread(values(turns, side), 1), spread(ratios(turns, side, PEERS[0]))
        print(f"{side:18} {speed:26} {ratio:22} {spread(share[side])}")
    print(f"{MATMUL:18} {spread([rate / 1e12 for rate in matmul])} Tflop/s\nwritten to {path}")


if __name__ == "__main__":
    main()
