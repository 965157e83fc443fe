"""What a run would take on this machine, from what was measured on it."""

import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from deepres.models.create import create_model
from deepres.progress import Progress
from deepres.provenance import provenance
from deepres.recipes import CifarRecipe, ImageNetRecipe
from deepres.report.runs import Run
from deepres.reproduction.plan import PlannedRun
from deepres.training.classify import training_step
from deepres.training.optim import make_optimizer

IMAGES_ON_CPU = 8
"""A step on a CPU takes as long for each image in a small batch as in a large one."""


def time_left(
    unfinished: Iterable[PlannedRun], there: Sequence[Run], device: torch.device
) -> dict[Path, float]:
    """Return how many seconds the remaining steps of each run would take on ``device``, by folder.

    The speed is what runs of the same network logged on this hardware, else it is measured now.

    Args:
        unfinished: the runs.
        there: runs to learn from.
        device: where they would be trained.
    """
    unfinished = list(unfinished)
    speeds = {run.recipe.model: logged_speed(run.recipe.model, there, device) for run in unfinished}
    unknown = {run.recipe.model: run.recipe for run in unfinished if not speeds[run.recipe.model]}
    with Progress("measure (networks)", len(unknown)) as bar:
        for done, (model, recipe) in enumerate(unknown.items()):
            bar.update(done, model)
            speeds[model] = measured_speed(recipe, device)
    return {run.folder: _images_left(run) / (speeds[run.recipe.model] or 1) for run in unfinished}


def _images_left(run: PlannedRun) -> int:
    return (run.recipe.steps - run.steps_done()) * run.recipe.batch_size


def logged_speed(model: str, runs: Iterable[Run], device: torch.device) -> float | None:
    """Return the images per second that runs of ``model`` logged on this hardware, if any."""
    hardware = provenance(device)["hardware"]
    speeds = [
        speed
        for run in runs
        if run.is_classifier
        and run.model == model
        and run.meta["provenance"]["hardware"] == hardware
        for speed in run.curve("train", "images_per_s")[1]
    ]
    return statistics.median(speeds) if speeds else None


def measured_speed(recipe: CifarRecipe | ImageNetRecipe, device: torch.device) -> float:
    """Return the images per second of a training step of ``recipe`` on random images."""
    network = create_model(recipe.model, **recipe.model_options())
    network.to(device).to(memory_format=torch.channels_last)
    side = recipe.crop if isinstance(recipe, ImageNetRecipe) else network.input_size
    count = IMAGES_ON_CPU if device.type == "cpu" else recipe.batch_size
    images = torch.randn(count, 3, side, side, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(count, dtype=torch.int64, device=device)
    optimizer = make_optimizer(network, recipe)

    def step() -> float:
        began = time.perf_counter()
        loss, _ = training_step(network, optimizer, images, labels, recipe)
        loss.item()  # waits for the device
        return time.perf_counter() - began

    step()
    return count / min(step(), step())
