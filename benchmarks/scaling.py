"""A training step's time against depth and against batch, with straight lines through them.

    python benchmarks/scaling.py [--device cuda] [--precision bf16]

The networks are §4.2's residual ones of 6n+2 layers, for n from 3 (ResNet-20) to 200 (ResNet-1202);
on a CPU to 27, unless asked for more. The step is that of ``deepres train``, augmentation included.
A line's slope is the cost of a layer, or of an image; where it starts is what each step costs
whatever its size. Each point's turn runs in a process of its own.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from turns import Turn, seconds, take_turns, values, write_results

from deepres.provenance import provenance
from deepres.recipes import get_recipe
from deepres.recipes.cifar10 import IMAGENET_TWINS
from deepres.runtime import resolve_device
from deepres.speed.work import Work

ON_CPU, ON_CUDA = (3, 5, 9, 18, 27), (3, 5, 9, 18, 50, 100, 200)
BATCHES = (16, 32, 64, 128, 256, 512)
BATCH = 128
WARM_UP_STEPS = 3


def network(n: int) -> str:
    """Return the name of CIFAR-10's residual network of 6n+2 layers."""
    name = f"resnet{6 * n + 2}"
    return f"{name}-cifar" if name in IMAGENET_TWINS else name


def point(n: int, batch: int) -> str:
    """Return the name of a point: a network's n and a batch."""
    return f"{n} {batch}"


def measure(side: str, options: argparse.Namespace) -> dict[str, float]:
    """Time the steps of one point in this process."""
    device = resolve_device(options.device)
    n, batch = map(int, side.split())
    work = Work("training", network(n), get_recipe(network(n)), batch, options.precision)
    step = work.ready(device)
    seconds(step, WARM_UP_STEPS, device)
    return {"step_s": seconds(step, options.steps, device) / options.steps}


def fit(sizes: list[int], turns: list[Turn], sides: list[str]) -> dict[str, Any]:
    """Return the points that were measured, and the line through their medians by least squares.

    The squares are of relative errors, so that the largest size does not decide alone.
    """
    measured = [(n, values(turns, side, "step_s")) for n, side in zip(sizes, sides, strict=True)]
    sizes, times = [n for n, each in measured if each], [each for _, each in measured if each]
    if len(sizes) < 2:
        raise SystemExit("there is no line through fewer than two points")
    medians = [statistics.median(each) for each in times]
    slope, start = np.polyfit(sizes, medians, 1, w=1 / np.array(medians))
    line = start + slope * np.array(sizes)
    return {
        "sizes": sizes,
        "step_s": [
            {"median": median, "min": min(each), "max": max(each), "n": len(each)}
            for median, each in zip(medians, times, strict=True)
        ],
        "start_s": float(start),
        "slope_s": float(slope),
        "largest relative error": float(np.abs(line / medians - 1).max()),
    }


def main() -> None:
    """Measure in turns, fit, print, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--depths", type=int, nargs="+", metavar="N", help="of 6n+2 layers")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=BATCHES, help="of the first depth"
    )
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of the CPU (default: all)"
    )
    parser.add_argument("--steps", type=int, default=5, help="steps a turn")
    parser.add_argument("--turns", type=int, default=3, help="turns of each point")
    parser.add_argument("--out", type=Path, help="default: a file of this machine's in results/")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.side:
        print(json.dumps(measure(options.side, options)))
        return

    device = resolve_device(options.device)
    depths = sorted(options.depths or (ON_CUDA if device.type == "cuda" else ON_CPU))
    batches = sorted(options.batches)
    deep = [point(n, BATCH) for n in depths]
    wide = [point(depths[0], batch) for batch in batches]
    arguments = ["--device", options.device, "--threads", str(options.threads)]
    arguments += ["--precision", options.precision, "--steps", str(options.steps)]
    turns = take_turns(__file__, list(dict.fromkeys([*wide, *deep])), options.turns, arguments)
    layers = [6 * n + 2 for n in depths]
    scaling = [
        {"against": "layers", "of": f"batches of {BATCH}"} | fit(layers, turns, deep),
        {"against": "images", "of": network(depths[0])} | fit(batches, turns, wide),
    ]
    results = {
        "provenance": provenance(device),
        "precision": options.precision,
        "steps_per_turn": options.steps,
        "scaling": scaling,
        "turns": turns,
    }
    suffix = "" if options.precision == "fp32" else f"-{options.precision}"
    path = write_results(f"scaling{suffix}", results, options.out)
    print(f"{provenance(device)['hardware']}, torch {torch.__version__}, {options.precision}")
    for found in scaling:
        print(f"\n{found['against']}, {found['of']}: ms a step, median (range), n={options.turns}")
        for size, at in zip(found["sizes"], found["step_s"], strict=True):
            ms = {name: 1e3 * at[name] for name in ("median", "min", "max")}
            print(f"{size:6} {ms['median']:10,.1f} ({ms['min']:,.1f} to {ms['max']:,.1f})")
        print(
            f"line: {1e3 * found['start_s']:.1f} ms + {1e3 * found['slope_s']:.3f} ms for each, "
            f"within {100 * found['largest relative error']:.0f} %"
        )
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
