"""What a run would take on this machine, from what was measured on it."""

import statistics
import time
from collections.abc import Iterable

import torch

from deepres.models.create import create_model
from deepres.provenance import provenance
from deepres.recipes import CifarRecipe, ImageNetRecipe
from deepres.report.runs import Run
from deepres.reproduction.plan import PlannedRun
from deepres.training.classify import training_step
from deepres.training.optim import make_optimizer

IMAGES_ON_CPU = 8
"""A step on a CPU takes as long for each image in a small batch as in a large one."""


def seconds_left(run: PlannedRun, images_per_s: float) -> float:
    """Return how long the steps that ``run`` still has to do take at that speed."""
    if run.state() == "finished":
        return 0.0
    return (run.recipe.steps - run.steps_done()) * run.recipe.batch_size / images_per_s


def logged_speed(model: str, runs: Iterable[Run], device: torch.device) -> float | None:
    """Return the images per second that runs of ``model`` logged on this hardware, if any."""
    hardware = provenance(device)["hardware"]
    speeds = [
        speed
        for run in runs
        if run.model == model and run.meta["provenance"]["hardware"] == hardware
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
