"""Carrying out a plan: start what is missing, resume what was cut off, skip what is done."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.distributed import World, join_world
from deepres.models.complexity import total_cost
from deepres.models.create import build_empty
from deepres.progress import Part, Progress
from deepres.recipes import CifarRecipe, ImageNetRecipe
from deepres.report.runs import RESPONSES
from deepres.reproduction.measure import hidden, measure_responses, score_run
from deepres.reproduction.plan import PlannedRun, State
from deepres.run_folder import RunFolder
from deepres.runtime import make_repeatable
from deepres.training import resume, train
from deepres.training.finished import finished_run
from deepres.training.run import check_same_data

Data = Cifar10 | ImageFolder
STATES = ("finished", "cut off", "missing")
"""In the order in which runs are taken up."""


def carry_out(
    label: str,
    runs: Sequence[PlannedRun],
    data: Callable[[str], Data],
    *,
    device: str = "auto",
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Bring all ``runs`` to their end, with one bar over them all.

    Args:
        label: what the bar is called.
        runs: from ``plan``.
        data: returns the data for a kind of recipe; it is called for every run.
        device: as for ``train``.
        workers: as for ``train``.
        say: receives lines for the user.

    Raises:
        UserError: a run lies in the place of another, or has other data.
        Interrupted: a signal asked for a stop; the same call goes on.
    """
    if not runs:
        return
    for run in runs:  # all, before the first hour of work
        if run.state() != "missing":
            check_same_data(RunFolder(run.folder), data(run.recipe.kind))
    runs = sorted(runs, key=lambda run: STATES.index(run.state()))
    how = Hardware(*join_world(device), device, workers, say)
    make_repeatable(how.target)
    works = [work(run.recipe) for run in runs]
    shares = [100 * each / sum(works) for each in works]
    ends = list(itertools.accumulate(shares))
    finished = sum(run.state() == "finished" for run in runs)  # they come first
    done = int(sum(shares[:finished]))
    with Progress(f"{label} (%)", 100, done, shown=how.world.leader) as whole:
        for i, run in enumerate(runs):
            bar = partial(_part, whole, ends[i] - shares[i], shares[i], f"{i + 1} of {len(runs)}")
            state = run.state()
            _train(run, state, data(run.recipe.kind), how, bar)
            _measure(run, state, data(run.recipe.kind), how)


@dataclass(frozen=True)
class Hardware:
    """Where runs are carried out, and who hears of it."""

    world: World
    target: torch.device
    device: str
    workers: int | None
    say: Callable[[str], None]


def _part(
    whole: Progress, before: float, share: float, place: str, name: str, steps: int, start: int
) -> Progress:
    return Part(whole, before, share, f"{place}: {name}", steps, start)


def _train(
    run: PlannedRun,
    state: State,
    data: Data,
    how: Hardware,
    bar: Callable[[str, int, int], Progress],
) -> None:
    options: dict[str, Any] = {"device": how.device, "workers": how.workers, "say": how.say}
    if state == "missing":
        train(run.recipe, run.folder, data, seed=run.seed, progress=bar, **options)
    elif state == "cut off":
        resume(run.folder, data, progress=bar, **options)


def _measure(run: PlannedRun, state: State, data: Data, how: Hardware) -> None:
    for views in sorted(run.views):
        how.say(f"testing {run.folder}, {views}")
        score_run(run.folder, data, views, how.target, how.world, how.workers, how.say)
    measured = (run.folder / RESPONSES).exists() and state == "finished"
    if run.responses and not measured and how.world.leader:
        how.say(f"measuring the responses of {run.folder}")
        finished = finished_run(run.folder, data, how.target)
        measure_responses(finished, how.target, workers=how.workers, progress=hidden)


def work(recipe: CifarRecipe | ImageNetRecipe) -> float:
    """Return the multiply-adds of a run's forward passes."""
    network = build_empty(recipe.model, **recipe.model_options())
    side = recipe.crop if isinstance(recipe, ImageNetRecipe) else network.input_size
    return float(total_cost(network, side).multiply_adds * recipe.batch_size * recipe.steps)
