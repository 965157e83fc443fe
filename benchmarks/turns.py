"""What the benchmarks share: sides that run in processes of their own, in turns, and a table."""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from deepres.speed.machine import limit_rate, limited_by
from deepres.speed.machine import seconds as seconds  # for the programs

RESULTS = Path(__file__).parent / "results"
LIMIT = "limit"
"""The side that measures what the machine does at most."""
SHARE_OF_LIMIT = "share of the limit"
"""Under which a benchmark's results hold the sides' shares of it."""
NOTHING = "–"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Turn = dict[str, dict[str, Any]]
"""What each side measured, by the side's name."""


def take_turns(program: str, sides: Sequence[str], turns: int, arguments: list[str]) -> list[Turn]:
    """Run each side ``turns`` times, one after the other, each time in a fresh process.

    Nothing of a side's allocator, caches or threads is there for the next. A side is the program
    itself with ``--side NAME``; the last line that it prints is what it measured, as JSON.

    A side that fails takes nothing from the others, nor does one for which there is no time left
    before ``BENCHMARK_UNTIL``, in seconds since 1970: what it has measured then is why not.
    """
    until = float(os.environ.get("BENCHMARK_UNTIL", "inf"))
    taken: list[Turn] = [{} for _ in range(turns)]
    for turn in taken:
        for side in sides:
            command = [sys.executable, program, *arguments, "--side", side]
            turn[side] = _answer(command, until - time.time())
    return taken


def _answer(command: list[str], seconds: float) -> dict[str, Any]:
    if seconds <= 0:
        return {"skipped": "no time was left"}
    limit = None if math.isinf(seconds) else seconds
    try:
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"skipped": "no time was left"}
    except subprocess.CalledProcessError as error:
        return {"skipped": f"it failed with status {error.returncode}"}
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def values(turns: list[Turn], side: str, key: str = "images_per_s") -> list[float]:
    """Return what a side measured in each turn; nothing where it could not run."""
    return [turn[side][key] for turn in turns if key in turn[side]]


def ratios(turns: list[Turn], side: str, peer: str) -> list[float]:
    """Return how many times as fast as ``peer`` a side was, turn by turn."""
    both = [turn for turn in turns if turn[side].keys() & turn[peer].keys() & {"images_per_s"}]
    return [turn[side]["images_per_s"] / turn[peer]["images_per_s"] for turn in both]


def spread(numbers: list[float], digits: int = 2) -> str:
    """Write the median and the range; a dash for nothing."""
    if not numbers:
        return NOTHING
    median, low, high = statistics.median(numbers), min(numbers), max(numbers)
    return f"{median:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def summary(turns: list[Turn], peers: Sequence[str]) -> dict[str, Any]:
    """Return each side's median and range, and those of its ratio to each peer."""
    table: dict[str, Any] = {}
    for side in turns[0]:
        if speeds := values(turns, side):
            table[side] = {"images_per_s": _middle_and_ends(speeds)}
            for peer in peers:
                if against := ratios(turns, side, peer):
                    table[side][f"times {peer}"] = _middle_and_ends(against)
    return table


def shares_of_limit(
    turns: list[Turn], precisions: Mapping[str, str], operations_per_image: int
) -> dict[str, list[float]]:
    """Return each side's operations per second as a share of the limit, by turn.

    The limit is that of the side's precision.
    """
    return {
        side: [
            turn[side]["images_per_s"] * operations_per_image / turn[LIMIT][precision]
            for turn in turns
            if "images_per_s" in turn[side] and precision in turn[LIMIT]
        ]
        for side, precision in precisions.items()
    }


def write_results(name: str, results: dict[str, Any], out: Path | None) -> Path:
    """Write a benchmark's numbers to ``out``, by default to this machine's file in results/."""
    slug = "-".join(results["provenance"]["hardware"].replace(",", "").lower().split())
    path = out or RESULTS / f"{name}-{slug}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def limits(device: torch.device, *precisions: str) -> dict[str, Any]:
    """Return the most operations per second in each precision, and what has measured it.

    Multiplications and additions count apart. On CUDA float32 is TF32, as it is for PyTorch's
    convolutions by default.
    """
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else "highest")
    rates = {name: limit_rate(device, DTYPES[name]) for name in precisions}
    return {**rates, "by": {name: limited_by(device, DTYPES[name]) for name in precisions}}


def limit_line(turns: list[Turn], precision: str) -> str:
    """Write what the machine does at most."""
    rates = [rate / 1e12 for rate in values(turns, LIMIT, precision)]
    by = next((turn[LIMIT]["by"][precision] for turn in turns if "by" in turn[LIMIT]), NOTHING)
    return f"{LIMIT}, {precision}, by {by}: {spread(rates)} Tflop/s"


def peer_versions() -> dict[str, str]:
    """Return the versions of the peers' packages."""
    found = {}
    for package in ("torchvision", "timm", "onnxruntime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _middle_and_ends(numbers: list[float]) -> dict[str, float]:
    ends = {"min": min(numbers), "max": max(numbers)}
    return {"median": statistics.median(numbers), **ends, "n": len(numbers)}
