"""What the commands share that train: a run is started or gone on with, and its outcome said."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

from deepres.cli.terminal import length, say, show
from deepres.errors import UserError
from deepres.execution import Execution
from deepres.files import check_ours, check_writable
from deepres.kinds import kind_of
from deepres.models.create import build_empty
from deepres.models.weights import read_weights
from deepres.pretrained import weights_for
from deepres.recipe_words import fields_in_words
from deepres.recipes import ClassificationRecipe, Recipe, recipe_from_dict
from deepres.report.figures import CURVES, learning_curves
from deepres.run_folder import EXACT_BN, RUNS, RunFolder, run_name
from deepres.run_weights import WEIGHTS, run_of, weights_file
from deepres.torchrun import is_leader
from deepres.training.api import task_of
from deepres.training.batch_norm_statistics import learning_batch_norm
from deepres.training.given_weights import frozen_modules
from deepres.training.repetition import Original, compared, read_original
from deepres.training.repetition import repeat as run_again
from deepres.training.run import resume_together
from deepres.training.tensorboard_log import tensorboard_log, tensorboard_package

R = TypeVar("R", bound=Recipe)
Result = dict[str, Any]


def execution_of(options: argparse.Namespace, **settings: Any) -> Execution:
    """Return where and how a command's work is done."""
    settings.setdefault("workers", getattr(options, "workers", None))
    log = tensorboard_log if getattr(options, "log", None) else None
    return Execution.on(options.device, say=say, log=log, **settings)


def goes_on(options: argparse.Namespace, example: str) -> bool:
    """Tell whether a command goes on with runs, or starts some.

    Raises:
        UserError: it names neither networks nor runs, or both; or it asks for a log that needs a
            package which is not there.
    """
    if options.log:
        tensorboard_package()  # before long work
    if bool(options.networks) == bool(options.resume):
        raise UserError(f"name either a network, e.g. {example}, or a run to --resume")
    return bool(options.resume)


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


def resume(
    options: argparse.Namespace,
    recipe_type: type[Recipe],
    open_data: Callable[[Any, dict[str, Any]], Any],
    execution: Callable[[], Execution],
    *,
    for_new_runs: Sequence[str],
    changeable: Sequence[str] = (),
) -> list[Result]:
    """Go on with the runs that a command names.

    Args:
        options: of the command.
        recipe_type: the class of the runs' recipes.
        open_data: opens their data, for the recipe and the recipe.json of the first.
        execution: says where and how, once the options are known to be right.
        for_new_runs: the options that cannot be given.
        changeable: the fields of the recipe that can be set.

    Raises:
        UserError: one of those options is given, or a run is of another kind.
    """
    for option in ("out", "seed", *for_new_runs):
        if getattr(options, option) is not None:
            name = option.replace("_", "-")
            raise UserError(f"--{name} is for new runs: --resume keeps recipe, seed and folder")
    if any(setting.partition("=")[0] not in changeable for setting in options.set):
        but = f", all but {' and '.join(changeable)}" if changeable else ""
        raise UserError(f"--set is for new runs: --resume keeps the recipe{but}")
    meta = RunFolder(options.resume[0]).read_meta()
    for run in options.resume:
        check_ours(run / CURVES)
        if is_leader():
            check_writable(run)
    recipe: Recipe = recipe_from_dict(meta["recipe"], recipe_type)
    if options.steps is not None:
        recipe.extended(options.steps)  # can it be? Asked before a long download
    here = execution()
    data = open_data(recipe.changed(options.set), meta)
    return resume_together(
        *(task_of(recipe), options.resume, data, here),
        steps=options.steps,
        changes=options.set,
    )


def repeat(
    options: argparse.Namespace,
    recipe_type: type[Recipe],
    open_data: Callable[[Any, Original], Any],
    execution: Callable[[], Execution],
    *,
    for_new_runs: Sequence[str],
) -> tuple[list[Path], list[Result]]:
    """Repeat the run whose recipe.json a command names.

    Args:
        options: of the command.
        recipe_type: the class of the run's recipe.
        open_data: opens its data, for the recipe and the run.
        execution: says where and how, once the options are known to be right.
        for_new_runs: the options that cannot be given, besides those that all commands have.

    Returns:
        The folder of the new run and the content of its result.json, as lists of one.

    Raises:
        UserError: one of those options is given, or the run cannot be repeated.
    """
    if options.log:
        tensorboard_package()  # before long work
    for option in (*for_new_runs, "networks", "resume", "steps", "seed", "set"):
        value = getattr(options, option)
        if value is not False and value not in (None, []):
            named = "a network" if option == "networks" else f"--{option.replace('_', '-')}"
            raise UserError(
                f"--recipe repeats a run as it was, and takes nothing that would change it: leave "
                f"out {named}"
            )
    here = execution()  # before a long download
    original = read_original(options.recipe, recipe_type)
    recipe, seed = original.recipe, original.meta["seed"]
    named = run_name(recipe.model, recipe.steps, recipe.scaled_from, seed, ["repeated"])
    folder = options.out or RUNS / named
    check_free_for_run(folder)
    where = original.meta["data"]
    place = where["location"]  # null in what deepres brings along: the usual folder, then
    if options.data is None and place not in (None, "sample") and not Path(place).exists():
        raise UserError(
            f"{original.file} was trained on {where['source']}, which is not here: {place}; say "
            "where it is by --data"
        )
    weights = getattr(options, "weights", None)
    given = weights_for(recipe.model, weights, say) if weights else None
    data = open_data(recipe, original)
    result = run_again(original, folder, data, here, weights=given)
    if is_leader() and (found := compared(original, folder)):
        show(f"{folder / WEIGHTS}: {found}")
    return [folder], [result]


def say_outcomes(
    folders: Sequence[Path],
    results: Sequence[Result],
    summary: Callable[[Result], str],
    remarks: Callable[[Result], list[str]] = lambda result: [],
) -> None:
    """Print each run's outcome and remarks on it, and draw its curves."""
    if not is_leader():
        return
    for folder, result in zip(folders, results, strict=True):
        show(f"{summary(result)}, {length(result)}, {result['data']}, seed {result['seed']}")
        print("".join(f"{remark}\n" for remark in remarks(result)), end="")
        if result["deviations"]:
            show(f"not the paper's: {fields_in_words(result['deviations'])}")
        show(f"curves: {learning_curves(RunFolder(folder))}")
