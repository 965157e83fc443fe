"""deepres train: start runs of classifiers, or go on with some."""

import argparse
import statistics
from pathlib import Path
from typing import Any

from deepres.cli.terminal import open_data, say
from deepres.cli.training import (
    as_asked,
    execution_of,
    goes_on,
    resume,
    say_outcomes,
    shorthands,
)
from deepres.errors import UserError
from deepres.execution import Execution
from deepres.recipes import ClassificationRecipe, Recipe, get_recipe
from deepres.run_folder import RunFolder, run_name
from deepres.runtime import resolve_device
from deepres.torchrun import is_leader
from deepres.training.classification import Classification
from deepres.training.run import NewRun, train_together


def call(options: argparse.Namespace) -> int:
    """Train, draw the curves, and print the results."""
    shorthands(options, "precision", "accumulate", "bad_images")
    if goes_on(options, "deepres train resnet20"):
        folders = options.resume
        results = resume(
            options,
            ClassificationRecipe,
            lambda recipe, meta: _open(options.data or meta["data"]["location"], recipe),
            lambda: _execution(options),
            for_new_runs=("precision", "accumulate", "seeds"),
            changeable=("bad_images",),
        )
    else:
        runs = _new_runs(options)
        folders = [run.folder for run in runs]
        results = _start(runs, options)
    say_outcomes(folders, results, _summary, _left_out)
    if is_leader():
        _print_spread(results)
    return 0


def _execution(options: argparse.Namespace) -> Execution:
    return execution_of(
        options,
        save_every_s=options.save_every,
        fused_kernels=not options.no_fused_kernels,
        fused_convolutions=not options.no_fused_convolutions,
        recompute=options.recompute,
    )


def _open(name: str | None, recipe: Recipe) -> Any:
    return open_data(name, recipe.kind)


def _new_runs(options: argparse.Namespace) -> list[NewRun]:
    """Return the runs that a command asks for: of each network, one for each seed."""
    first, count = options.seed or 0, 1 if options.seeds is None else options.seeds
    if count < 1:
        raise UserError(f"--seeds is how many runs to train at once, 1 or more, got {count}")
    runs = []
    for name in dict.fromkeys(options.networks):
        recipe = as_asked(get_recipe(name), options)
        for seed in range(first, first + count):
            folder = Path("runs") / run_name(name, recipe.steps, recipe.scaled_from, seed)
            runs.append(NewRun(recipe, seed, folder))
    if options.out is not None:
        alone = len(runs) == 1
        runs = [r._replace(folder=options.out / ("" if alone else r.folder.name)) for r in runs]
    return runs


def _start(runs: list[NewRun], options: argparse.Namespace) -> list[dict[str, Any]]:
    if len({run.recipe.kind for run in runs}) > 1:
        raise UserError("networks that are trained at once are all of CIFAR-10 or all of ImageNet")
    resolve_device(options.device)  # before a long download
    for run in runs:
        RunFolder(run.folder).check_absent()
    data = _open(options.data, runs[0].recipe)
    for recipe, _, folder, _ in runs:
        say(f"training {recipe.model} on {data.source} for {recipe.steps:,} steps, into {folder}")
    return train_together(Classification, runs, data, _execution(options))


def _summary(result: dict[str, Any]) -> str:
    return (
        f"{result['model']}: test error {result['test_error_pct']:.2f} %, "
        f"training error {result['train_error_pct']:.2f} %"
    )


def _left_out(result: dict[str, Any]) -> list[str]:
    remarks = []
    if skipped := result["skipped_images"]:
        remarks.append(f"left out: {skipped:,} times an image that cannot be decoded")
    if skipped := result["skipped_test_images"]:
        remarks.append(f"left out of the test: {skipped:,} images that cannot be decoded")
    return remarks


def _print_spread(results: list[dict[str, Any]]) -> None:
    """Print mean and standard deviation of the errors of each network that has several runs."""
    for model in dict.fromkeys(result["model"] for result in results):
        errors = [result["test_error_pct"] for result in results if result["model"] == model]
        if len(errors) > 1:
            spread = f"{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f} %"
            print(f"{model}, {len(errors)} runs: test error {spread}, best {min(errors):.2f} %")
