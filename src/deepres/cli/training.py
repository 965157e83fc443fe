"""What the commands share that start runs: where and how, what is asked for, and its place."""

import argparse
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

from deepres.cli.terminal import say
from deepres.execution import Execution
from deepres.files import check_ours, check_writable
from deepres.kinds import kind_of
from deepres.models.create import build_empty
from deepres.models.weights import read_weights
from deepres.recipes import ClassificationRecipe, Recipe, recipe_from_dict
from deepres.report.figures import CURVES
from deepres.run_folder import EXACT_BN, RunFolder
from deepres.run_weights import run_of, weights_file
from deepres.torchrun import is_leader
from deepres.training.batch_norm_statistics import learning_batch_norm
from deepres.training.given_weights import frozen_modules
from deepres.training.tensorboard_log import tensorboard_log

R = TypeVar("R", bound=Recipe)


def execution_of(options: argparse.Namespace, **settings: Any) -> Execution:
    """Return where and how a command's work is done."""
    settings.setdefault("workers", getattr(options, "workers", None))
    log = tensorboard_log if getattr(options, "log", None) else None
    return Execution.on(options.device, say=say, log=log, **settings)


def training_execution(options: argparse.Namespace) -> Execution:
    """Return where and how a command trains, if it has no options of its own for that."""
    return execution_of(options, save_every_s=options.save_every)


def tell_moving_averages(weights: Path) -> None:
    """Say of a run's weights whose BN is to be frozen that its averages are training's own (§4.3).

    Those of a run that froze all its BN are not.

    Args:
        weights: a run's folder or a file of weights.
    """
    file, run = weights_file(weights), run_of(weights)
    if run is None or not kind_of(fields := run.read_meta()["recipe"]).is_classifier:
        return
    recipe = recipe_from_dict(fields, ClassificationRecipe)
    network = build_empty(recipe.model)
    learned = learning_batch_norm(network, frozen_modules(network, recipe.freeze))
    notes = read_weights(file)[1]
    if learned and "batch_norm" not in notes:
        exact = run.path / EXACT_BN
        made = exact.exists() and read_weights(exact)[1].get("steps") == notes.get("steps")
        make = "" if made else f"deepres batchnorm {quote(str(run.path))}, then "
        say(
            f"{file}: the moving averages of its training are frozen as BN's statistics; for exact "
            f"ones, as in the paper: {make}--weights {quote(str(exact))}"
        )


def check_free_for_run(folder: Path) -> None:
    """Make sure that a new run can start in a folder, and its curves be drawn there.

    Raises:
        UserError: there is a run already, another file would be replaced, or nothing can be
            written there.
    """
    RunFolder(folder).check_absent()
    check_ours(folder / CURVES)
    if is_leader():
        check_writable(folder)


def shorthands(options: argparse.Namespace, *fields: str) -> None:
    """Put the options that are short for ``--set FIELD=VALUE`` before what is ``--set``."""
    given = {field: getattr(options, field) for field in fields}
    options.set[:0] = [f"{field}={value}" for field, value in given.items() if value is not None]


def as_asked(recipe: R, options: argparse.Namespace) -> R:
    """Return the recipe with the length and the fields that a command asks for."""
    if options.steps is not None:
        recipe = recipe.scaled_to(options.steps)
    return recipe.changed(options.set)
