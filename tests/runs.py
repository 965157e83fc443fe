"""Runs for tests, in few words; on the CPU unless a test says otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import deepres
from deepres.checkpoint import load_checkpoint
from deepres.execution import Execution
from deepres.progress import Progress
from deepres.recipes import Recipe
from deepres.run_folder import RunFolder


def on_cpu(**settings: Any) -> Execution:
    return Execution(torch.device("cpu"), **settings)


def train(
    recipe: Recipe,
    run: Path,
    data: Any,
    *,
    weights: Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    **settings: Any,
) -> dict[str, Any]:
    here = Execution.on(device, **settings)
    return deepres.train(recipe, run, data, weights=weights, seed=seed, execution=here)


def resume(
    run: Path,
    data: Any,
    *,
    steps: int | None = None,
    changes: Sequence[str] = (),
    device: str = "cpu",
    **settings: Any,
) -> dict[str, Any]:
    here = Execution.on(device, **settings)
    return deepres.resume(run, data, steps=steps, changes=changes, execution=here)


class NotingBar(Progress):
    """Makes itself when a bar is wanted, and notes how far it was said to be."""

    def __init__(self) -> None:
        super().__init__("", 0, shown=False)
        self.updates: list[float] = []

    def __call__(self, label: str, total: int, start: int = 0) -> Progress:
        return self

    def update(self, done: float, note: str = "") -> None:
        self.updates.append(done)


def outcome(folder: RunFolder) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """A run's metrics, but for how fast it was, and its weights."""
    events = [{k: v for k, v in e.items() if k != "images_per_s"} for e in folder.read_events()]
    return events, load_file(folder.weights)


def assert_same_bits(a: RunFolder, b: RunFolder) -> None:
    (events_a, weights_a), (events_b, weights_b) = outcome(a), outcome(b)
    assert events_a == events_b
    assert weights_a.keys() == weights_b.keys()
    for name, tensor in weights_a.items():
        assert torch.equal(tensor, weights_b[name]), name
    states = [load_checkpoint(folder.checkpoint)["optimizer"]["state"] for folder in (a, b)]
    assert states[0]
    for i, state in states[0].items():
        assert torch.equal(state["momentum_buffer"], states[1][i]["momentum_buffer"])


def assert_near(a: Path, b: Path, until: int) -> None:
    """Compare losses until ``until``, 10 steps after the arithmetic parts at the latest.

    Noise of 1e-7 in the weights grows tenfold every few steps: to 1e-3 after 10, to 1e-2 after 20.
    """
    first, second = (
        [e for e in RunFolder(f).read_events() if e["split"] == "train"] for f in (a, b)
    )
    for ours, theirs in zip(first, second, strict=True):
        if ours["step"] <= until:
            torch.testing.assert_close(ours["loss"], theirs["loss"], rtol=5e-3, atol=0)
