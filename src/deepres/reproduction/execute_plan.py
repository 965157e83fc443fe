"""Carrying out a plan: start what is missing, resume what was cut off, skip what is done."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from functools import partial

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.execution import Execution
from deepres.progress import Part, Progress
from deepres.recipes import CifarRecipe, ClassificationRecipe
from deepres.report.read_runs import read_run
from deepres.report.runs import RESPONSES
from deepres.reproduction.cost import multiply_adds
from deepres.reproduction.measure import measure_responses, note_responses, score_run
from deepres.reproduction.plan import PlannedRun, State
from deepres.run_folder import RunFolder
from deepres.training.classification import Classification
from deepres.training.run import NewRun, resume_together, train_together
from deepres.training.same_data import check_same_data
from deepres.training.trained_run import trained_run

Data = Cifar10 | ImageFolder
STATES = ("finished", "cut off", "missing")
"""In the order in which runs are taken up."""


def execute_plan(
    label: str,
    runs: Sequence[PlannedRun],
    data: Callable[[str], Data],
    execution: Execution,
) -> None:
    """Bring all ``runs`` to their end, with one bar over them all.

    Args:
        label: what the bar is called.
        runs: from ``plan``.
        data: returns the data for a kind of recipe; it is called for every run.
        execution: where and how.

    Raises:
        UserError: a run lies in the place of another, or has other data.
        Interrupted: a signal asked for a stop; the same call goes on.
    """
    if not runs:
        return
    for run in runs:  # all, before the first hour of work
        if run.state() != "missing":
            meta = RunFolder(run.folder).read_meta()
            check_same_data(run.folder, meta, Classification.describe(data(run.recipe.kind)))
    runs = sorted(runs, key=lambda run: STATES.index(run.state()))
    works = [work(run.recipe) for run in runs]
    shares = [100 * each / sum(works) for each in works]
    ends = list(itertools.accumulate(shares))
    finished = sum(run.state() == "finished" for run in runs)  # they come first
    done = int(sum(shares[:finished]))
    with execution.progress(f"{label} (%)", 100, done) as whole:
        i = 0
        for group in together(runs, execution):
            first, i = i, i + len(group)
            place = f"{first + 1} of {len(runs)}" if len(group) == 1 else f"{first + 1} to {i}"
            share = sum(shares[first:i])
            bar = partial(_part, whole, ends[i - 1] - share, share, place)
            state = group[0].state()
            part = dataclasses.replace(execution, progress=bar)
            _train(group, state, data(group[0].recipe.kind), part)
            for run in group:
                _measure(run, state, data(run.recipe.kind), execution.quietly())


def together(runs: Sequence[PlannedRun], execution: Execution) -> list[list[PlannedRun]]:
    """Group ``runs`` that are trained at once: on a GPU the seeds of one of §4.2's networks.

    Elsewhere, and for larger images, runs at once save no time. Several processes share each run.
    """
    on_one_gpu = execution.device.type == "cuda" and execution.world.size == 1
    groups: list[list[PlannedRun]] = []
    for run in runs:
        small = on_one_gpu and isinstance(run.recipe, CifarRecipe)
        last = groups[-1][-1] if groups else None
        if small and last and (last.recipe, last.state()) == (run.recipe, run.state()):
            groups[-1].append(run)
        else:
            groups.append([run])
    return groups


def _part(
    whole: Progress, before: float, share: float, place: str, label: str, total: int, start: int = 0
) -> Progress:
    return Part(whole, before, share, f"{place}: {label}", total, start)


def _train(group: list[PlannedRun], state: State, data: Data, execution: Execution) -> None:
    if state == "missing":
        runs = [NewRun(run.recipe, run.seed, run.folder) for run in group]
        train_together(Classification, runs, data, execution)
    elif state == "cut off":
        resume_together(Classification, [run.folder for run in group], data, execution)


def _measure(run: PlannedRun, state: State, data: Data, execution: Execution) -> None:
    for views in sorted(run.views):
        execution.say(f"testing {run.folder}, {views}")
        score_run(run.folder, data, views, execution)
    measured = state == "finished" and read_run(run.folder).study(RESPONSES)
    if run.responses and not measured and execution.world.leader:
        execution.say(f"measuring the responses of {run.folder}")
        finished = trained_run(run.folder, data, execution.device)
        found = measure_responses(finished, execution)
        file = finished.path / RESPONSES
        note_responses(file, finished, found, execution.device, execution.say)


def work(recipe: ClassificationRecipe) -> float:
    """Return the multiply-adds of a run's forward passes."""
    return float(multiply_adds(recipe) * recipe.batch_size * recipe.steps)
