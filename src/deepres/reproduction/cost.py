"""What a run would take on this machine, from what was measured on it."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from deepres.compiled import CannotCompile, cache_folder
from deepres.errors import UserError
from deepres.files import read_json, write_json
from deepres.models.complexity import total_cost
from deepres.models.create import build_empty
from deepres.progress import Progress
from deepres.provenance import provenance
from deepres.recipes import CifarRecipe, ClassificationRecipe, ImageNetRecipe, get_recipe
from deepres.report.computed import hardware_of
from deepres.report.runs import Run
from deepres.reproduction.plan import PlannedRun
from deepres.speed.machine import seconds
from deepres.speed.work import Work
from deepres.training.step import precision

IMAGES_ON_CPU = {CifarRecipe.kind: 32, ImageNetRecipe.kind: 8}
"""A step on a CPU takes about as long for each image in so small a batch as in a large one."""
STANDARDS = {CifarRecipe.kind: "resnet20", ImageNetRecipe.kind: "resnet18"}
"""The networks whose speed stands for all others of their kind, by multiply-adds."""
RATES = "training-rates.json"
"""What was measured of them on this machine, in the user's cache."""
SAME_WORK = (
    "kind",
    "model",
    "crop",
    "shortcut",
    "stride_on",
    "pool",
    "residual_layers",
    "freeze",
)
"""The fields of a recipe that say how much work an image is."""
UNITS = {"years": 31_557_600, "days": 86_400, "hours": 3_600, "minutes": 60}
"""Seconds in each."""


def time_left(
    unfinished: Iterable[PlannedRun],
    there: Sequence[Run],
    device: torch.device,
    measure: bool = False,
) -> dict[Path, float]:
    """Return how many seconds the remaining steps of each run would take on ``device``, by folder.

    The speed is what runs that do the same work logged on this hardware, else an estimate.

    Args:
        unfinished: the runs.
        there: runs to learn from.
        device: where they would be trained.
        measure: take a few steps of each network in place of estimating.
    """
    unfinished = list(unfinished)
    recipes = dict.fromkeys(run.recipe for run in unfinished)
    logged = {recipe: logged_speed(recipe, there, device) for recipe in recipes}
    speeds = {recipe: speed for recipe, speed in logged.items() if speed}
    unknown = [recipe for recipe in recipes if recipe not in speeds]
    speed_of = measured_speed if measure else estimated_speed
    with Progress("measure (networks)", len(unknown), shown=measure) as bar:
        for done, recipe in enumerate(unknown):
            bar.update(done, recipe.model)
            speeds[recipe] = speed_of(recipe, device)
    return {run.folder: _images_left(run) / speeds[run.recipe] for run in unfinished}


def _images_left(run: PlannedRun) -> int:
    return (run.recipe.steps - run.steps_done()) * run.recipe.batch_size


def logged_speed(
    recipe: CifarRecipe | ImageNetRecipe, runs: Iterable[Run], device: torch.device
) -> float | None:
    """Return the images per second that runs with the work of ``recipe`` logged here, if any."""
    hardware, fields = provenance(device)["hardware"], recipe.to_dict()

    def alike(way: Mapping[str, Any]) -> bool:
        there = (way.get("precision"), hardware_of(way), way.get("processes", 1))
        return there == (precision(recipe, device), hardware, 1)

    speeds = [
        speed * way.get("runs_at_once", 1)  # they share the device
        for run in runs
        if all(run.meta["recipe"].get(field) == fields.get(field) for field in SAME_WORK)
        for step, speed in zip(*run.curve("train", "images_per_s"), strict=True)
        if alike(way := run.way_at(step))
    ]
    return statistics.median(speeds) if speeds else None


def estimated_speed(recipe: CifarRecipe | ImageNetRecipe, device: torch.device) -> float:
    """Return about how many images a second ``recipe`` trains, by its network's multiply-adds."""
    return training_rate(recipe.kind, precision(recipe, device), device) / multiply_adds(recipe)


def training_rate(kind: str, computed_in: str, device: torch.device) -> float:
    """Return the multiply-adds per second, of forward passes, in training recipes of ``kind``.

    That is measured once on a machine, in seconds, and kept in the user's cache if that can be.

    Args:
        kind: of recipe.
        computed_in: "fp32" or "bf16".
        device: which trains.
    """
    hardware = provenance(device)["hardware"]
    what = f"{STANDARDS[kind]}, {computed_in}, {hardware}, torch {torch.__version__}"
    file, rates = None, {}
    with suppress(CannotCompile, OSError, UserError):  # without a cache it is measured each time
        file = cache_folder() / RATES
        rates = read_json(file)
    rate = rates.get(what) if isinstance(rates, dict) else None
    if isinstance(rate, float) and 0 < rate < math.inf:
        return rate
    recipe = get_recipe(STANDARDS[kind]).changed([f"precision={computed_in}"])
    assert isinstance(recipe, CifarRecipe | ImageNetRecipe)
    rate = measured_speed(recipe, device) * multiply_adds(recipe)
    if file:
        with suppress(UserError):
            write_json(file, {**(rates if isinstance(rates, dict) else {}), what: rate})
    return rate


def multiply_adds(recipe: ClassificationRecipe) -> int:
    """Return the multiply-adds of an image's forward pass in the training of ``recipe``."""
    network = build_empty(recipe.model, **recipe.model_options())
    return total_cost(network, recipe.side).multiply_adds


def measured_speed(recipe: CifarRecipe | ImageNetRecipe, device: torch.device) -> float:
    """Return the images per second of a training step of ``recipe``."""
    count = IMAGES_ON_CPU[recipe.kind] if device.type == "cpu" else recipe.batch_size
    step = Work("training", recipe.model, recipe, count, recipe.precision).ready(device)
    step()
    return count / min(seconds(step, 1, device) for _ in range(2))


def in_words(seconds: float) -> str:
    """Return a time as people say it."""
    for unit, length in UNITS.items():
        if seconds >= 2 * length:
            count = seconds / length
            return f"{count:.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"
    return f"{seconds:.0f} s"
