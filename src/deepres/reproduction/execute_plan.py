"""Carrying out a plan: start what is missing, resume what was cut off, skip what is done."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.distributed import World, join_world
from deepres.models.complexity import total_cost
from deepres.models.create import build_empty
from deepres.progress import Part, Progress
from deepres.recipes import CifarRecipe, ImageNetRecipe
from deepres.report.runs import RESPONSES
from deepres.reproduction.measure import hidden, measure_responses, note_responses, score_run
from deepres.reproduction.plan import PlannedRun, State
from deepres.run_folder import RunFolder
from deepres.runtime import make_repeatable
from deepres.training.run import NewRun, check_same_data, resume_together, train_together
from deepres.training.setup import How
from deepres.training.trained_run import trained_run

Data = Cifar10 | ImageFolder
STATES = ("finished", "cut off", "missing")
"""In the order in which runs are taken up."""


def execute_plan(
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
        i = 0
        for group in together(runs, how.target, how.world):
            first, i = i, i + len(group)
            place = f"{first + 1} of {len(runs)}" if len(group) == 1 else f"{first + 1} to {i}"
            share = sum(shares[first:i])
            bar = partial(_part, whole, ends[i - 1] - share, share, place)
            state = group[0].state()
            _train(group, state, data(group[0].recipe.kind), how, bar)
            for run in group:
                _measure(run, state, data(run.recipe.kind), how)


def together(
    runs: Sequence[PlannedRun], device: torch.device, world: World
) -> list[list[PlannedRun]]:
    """Group ``runs`` that are trained at once: on a GPU the seeds of one of §4.2's networks.

    Elsewhere, and for larger images, runs at once save no time. Several processes share each run.
    """
    groups: list[list[PlannedRun]] = []
    for run in runs:
        small = isinstance(run.recipe, CifarRecipe) and device.type == "cuda" and world.size == 1
        last = groups[-1][-1] if groups else None
        if small and last and (last.recipe, last.state()) == (run.recipe, run.state()):
            groups[-1].append(run)
        else:
            groups.append([run])
    return groups


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
    group: list[PlannedRun],
    state: State,
    data: Data,
    how: Hardware,
    bar: Callable[[str, int, int], Progress],
) -> None:
    options = How(device=how.device, workers=how.workers, say=how.say, progress=bar)
    if state == "missing":
        train_together([NewRun(r.recipe, r.seed, r.folder) for r in group], data, options)
    elif state == "cut off":
        resume_together([run.folder for run in group], data, options)


def _measure(run: PlannedRun, state: State, data: Data, how: Hardware) -> None:
    for views in sorted(run.views):
        how.say(f"testing {run.folder}, {views}")
        score_run(run.folder, data, views, how.target, how.world, how.workers, how.say)
    measured = (run.folder / RESPONSES).exists() and state == "finished"
    if run.responses and not measured and how.world.leader:
        how.say(f"measuring the responses of {run.folder}")
        finished = trained_run(run.folder, data, how.target)
        found = measure_responses(finished, how.target, workers=how.workers, progress=hidden)
        note_responses(finished, found, how.target)


def work(recipe: CifarRecipe | ImageNetRecipe) -> float:
    """Return the multiply-adds of a run's forward passes."""
    network = build_empty(recipe.model, **recipe.model_options())
    side = recipe.crop if isinstance(recipe, ImageNetRecipe) else network.input_size
    return float(total_cost(network, side).multiply_adds * recipe.batch_size * recipe.steps)
