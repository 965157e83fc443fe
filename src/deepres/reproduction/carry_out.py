"""Carrying out a plan: start what is missing, resume what was cut off, skip what is done."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.distributed import join_world
from deepres.evaluation.protocol import score_weights
from deepres.models import load_model
from deepres.models.complexity import total_cost
from deepres.models.create import build_empty
from deepres.progress import Part, Progress
from deepres.recipes import CifarRecipe, ImageNetRecipe
from deepres.reproduction.plan import PlannedRun
from deepres.run_folder import RunFolder
from deepres.training import resume, train
from deepres.training.run import check_same_data

Data = Cifar10 | ImageFolder
STATES = ("finished", "cut off", "missing")
"""In the order in which runs are taken up."""


def carry_out(
    label: str,
    runs: Sequence[PlannedRun],
    open_data: Callable[[str], Data],
    *,
    device: str = "auto",
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Bring all ``runs`` to their end, with one bar over them all.

    Args:
        label: what the bar is called.
        runs: from ``plan``.
        open_data: returns the data for a kind of recipe.
        device: as for ``train``.
        workers: as for ``train``.
        say: receives lines for the user.

    Raises:
        UserError: a run lies in the place of another, or has other data.
        Interrupted: a signal asked for a stop; the same call goes on.
    """
    data = cache(open_data)
    for run in runs:  # all, before the first hour of work
        if run.state() != "missing":
            check_same_data(RunFolder(run.folder), data(run.recipe.kind))
    runs = sorted(runs, key=lambda run: STATES.index(run.state()))
    world, target = join_world(device)
    works = [work(run.recipe) for run in runs]
    percent = [100 * each / sum(works) for each in works]
    before = [sum(percent[:i]) for i in range(len(runs))]
    finished = sum(run.state() == "finished" for run in runs)
    done = int(sum(percent[:finished]))
    with Progress(f"{label} (%)", 100, done, shown=world.leader) as whole:
        for i, run in enumerate(runs):

            def part(name: str, steps: int, start: int, i: int = i) -> Progress:
                name = f"{i + 1} of {len(runs)}: {name}"
                return Part(whole, before[i], percent[i], name, steps, start)

            how: dict[str, Any] = {"device": device, "workers": workers, "say": say}
            how["progress"] = part
            state = run.state()
            of_kind = data(run.recipe.kind)
            if state == "missing":
                train(run.recipe, run.folder, of_kind, seed=run.seed, **how)
            elif state == "cut off":
                resume(run.folder, of_kind, **how)
            for views in sorted(run.views):
                score_weights(
                    run.folder,
                    load_model(run.folder, target),
                    of_kind.test,
                    views,
                    source=of_kind.source,
                    device=target,
                    world=world,
                    workers=workers,
                    say=say,
                    progress=lambda name, total: Progress(name, total, shown=False),
                )


def work(recipe: CifarRecipe | ImageNetRecipe) -> float:
    """Return the multiply-adds of a run's forward passes."""
    network = build_empty(recipe.model, **recipe.model_options())
    side = recipe.crop if isinstance(recipe, ImageNetRecipe) else network.input_size
    return float(total_cost(network, side).multiply_adds * recipe.batch_size * recipe.steps)
