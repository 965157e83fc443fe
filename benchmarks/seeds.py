"""Several runs of a network at once against the same runs one after the other.

    python benchmarks/seeds.py [--model resnet110] [--seeds 5] [--device cuda]

Both are ``deepres train``'s loop on the images inside the package. A turn trains two windows of
``--steps`` and takes the second's time: the first one records the step. One more step comes after,
since a run's last step is followed by a test, which the others would have to wait for. On CUDA runs
at once are graphs on streams of their own.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from turns import ratios, spread, summary, take_turns, values, write_results

from deepres.data.cifar10 import load_sample
from deepres.execution import Execution, hidden, say_nothing
from deepres.provenance import provenance
from deepres.recipes import get_recipe
from deepres.run_folder import RunFolder
from deepres.training.classification import Classification
from deepres.training.run import NewRun, train_together

AT_ONCE, IN_TURN = "at once", "in turn"


def measure(side: str, options: argparse.Namespace) -> dict[str, float]:
    """Train all seeds in this process; return the images per second of all together."""
    data = load_sample()
    recipe = get_recipe(options.model).scaled_to(2 * options.steps + 1)
    recipe = dataclasses.replace(recipe, log_every=options.steps, eval_every=recipe.steps)
    execution = Execution.on(options.device, say=say_nothing, progress=hidden)
    with tempfile.TemporaryDirectory() as scratch:
        runs = [NewRun(recipe, seed, Path(scratch) / str(seed)) for seed in range(options.seeds)]
        for group in [runs] if side == AT_ONCE else [[run] for run in runs]:
            train_together(Classification, group, data, execution)
        speeds = [second_window(run.folder) for run in runs]
    together = sum(speeds) if side == AT_ONCE else statistics.harmonic_mean(speeds)
    return {"images_per_s": together}


def second_window(folder: Path) -> float:
    """Return a run's images per second once its step is recorded."""
    logged = [e for e in RunFolder(folder).read_events() if e["split"] == "train"]
    speed: float = logged[1]["images_per_s"]
    return speed


def main() -> None:
    """Measure in turns, print a line, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet110")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="default: a file of this machine's in results/")
    parser.add_argument("--side", choices=[AT_ONCE, IN_TURN], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options)))
        return
    sizes = {name: getattr(options, name) for name in ("model", "seeds", "steps", "device")}
    arguments = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    turns = take_turns(__file__, [IN_TURN, AT_ONCE], options.turns, arguments)
    results: dict[str, Any] = {
        "provenance": provenance(torch.device(options.device)),
        **sizes,
        "summary": summary(turns, [IN_TURN]),
        "turns": turns,
    }
    path = write_results("seeds", results, options.out)
    speeds = [spread(values(turns, side), 0) for side in (AT_ONCE, IN_TURN)]
    batch = get_recipe(options.model).batch_size
    alone = [1000 * batch / speed for speed in values(turns, IN_TURN)]
    print(f"{options.seeds} runs of {options.model}, images/s: at once {speeds[0]}, ", end="")
    print(f"in turn {speeds[1]}\nalone: {spread(alone)} ms a step; ", end="")
    print(f"overlap: at once {spread(ratios(turns, AT_ONCE, IN_TURN))} times as fast as in turn")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
