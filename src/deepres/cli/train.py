"""deepres train: start runs of classifiers, or go on with some."""

import argparse
import statistics
from pathlib import Path
from typing import Any

from deepres.cli.terminal import holds_classes, open_data, say
from deepres.cli.train_command import TrainCommand
from deepres.cli.training import as_asked, check_free_for_run, execution_of
from deepres.errors import UserError
from deepres.execution import Execution
from deepres.models.create import build_empty
from deepres.pretrained import weights_for
from deepres.recipes import (
    CifarRecipe,
    ClassificationRecipe,
    ImageNetRecipe,
    Recipe,
    fine_tuned,
    get_recipe,
)
from deepres.run_contents import seed_of
from deepres.run_places import RUNS, run_name
from deepres.torchrun import is_leader
from deepres.training.api import task_of
from deepres.training.batch_parts import fewest_images_of_a_part
from deepres.training.classification import Classification
from deepres.training.given_weights import frozen_modules, recipe_for
from deepres.training.run import NewRun, train_together

FOR_NEW_RUNS = ("precision", "accumulate", "seeds", "freeze")
"""The options that a run which exists cannot take."""


def call(options: argparse.Namespace) -> int:
    """Train, draw the curves, and print the results."""
    command = TrainCommand(
        recipe_type=ClassificationRecipe,
        example="deepres train resnet20",
        start=_start,
        open_data=_open_again,
        summary=_summary,
        remarks=_left_out,
        execution=_execution,
        shorthands=("precision", "accumulate", "bad_images", "freeze"),
        not_resumed=(*FOR_NEW_RUNS, "weights"),
        not_repeated=(
            *FOR_NEW_RUNS,
            "bad_images",
            "no_fused_kernels",
            "no_fused_convolutions",
        ),
        changeable=("bad_images",),
    )
    results = command.run(options)
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


def _open_again(options: argparse.Namespace, recipe: Recipe, meta: dict[str, Any]) -> Any:
    """Open the data of a run that has begun already."""
    return open_data(options.data or meta["data"]["location"], recipe.kind)


def _start(
    options: argparse.Namespace, named: list[str]
) -> tuple[list[Path], list[dict[str, Any]]]:
    """Start the runs that a command asks for; return their folders and results.

    What can be found wrong before a long download is.
    """
    here = _execution(options)
    runs = _new_runs(options, named, here)
    if len({run.recipe.kind for run in runs}) > 1:
        raise UserError("networks that are trained at once are all of CIFAR-10 or all of ImageNet")
    for run in runs:
        check_free_for_run(run.folder)
    if options.weights:
        runs = _from_weights(runs, options)
    data = open_data(options.data, runs[0].recipe.kind)
    for run in runs:
        task_of(run.recipe).check_learnable(run.recipe, data)
    for recipe, _, folder, _ in runs:
        say(f"training {recipe.model} on {data.source} for {recipe.steps:,} steps, into {folder}")
    results = train_together(Classification, runs, data, here)
    return [run.folder for run in runs], results


def _new_runs(options: argparse.Namespace, named: list[str], execution: Execution) -> list[NewRun]:
    """Return the runs that a command asks for: of each network, one for each seed.

    Their folders are called by the network and what is ``named``, as ``deepres reproduce`` does.
    """
    first, count = seed_of(options.seed or 0), 1 if options.seeds is None else options.seeds
    if count < 1:
        raise UserError(f"--seeds is how many runs to train at once, 1 or more, got {count}")
    frozen = [f"freeze={options.freeze}"] if options.freeze else []
    settings = [*(["fine-tuned"] if options.weights else []), *frozen, *named]
    runs = []
    for name in dict.fromkeys(options.networks):
        recipe = _recipe(name, options)
        frozen_modules(build_empty(name), recipe.freeze)  # is there such a stage?
        fewest_images_of_a_part(recipe, execution)  # can the batch be shared?
        for seed in range(first, first + count):
            folder = run_name(recipe.model, recipe.steps, recipe.scaled_from, seed, settings)
            runs.append(NewRun(recipe, seed_of(seed), RUNS / folder))
    if options.out is not None:
        alone = len(runs) == 1
        runs = [r._replace(folder=options.out / ("" if alone else r.folder.name)) for r in runs]
    return runs


def _recipe(network: str, options: argparse.Namespace) -> CifarRecipe | ImageNetRecipe:
    """Return the paper's recipe for a network or, with --weights, one to fine-tune such.

    Networks for CIFAR-10 can be fine-tuned on a folder of images, too.
    """
    papers = get_recipe(network)
    if not options.weights:
        return as_asked(papers, options)
    files = isinstance(papers, ImageNetRecipe) or holds_classes(options.data)
    usual = fine_tuned(network, files=files)
    # Sizes in pixels go with the crop, which the weights may have otherwise.
    known = [each for each in options.set if each.partition("=")[0] not in ImageNetRecipe.pixels]
    return as_asked(usual, argparse.Namespace(steps=options.steps, set=known))


def _from_weights(runs: list[NewRun], options: argparse.Namespace) -> list[NewRun]:
    """Return the runs with the weights that are given, and with the recipes that these ask for."""
    kinds = {run.recipe.model: run.recipe.kind for run in runs}
    given = {model: weights_for(model, options.weights, say) for model in kinds}
    recipes = {
        model: as_asked(recipe_for(model, given[model], files=kind == ImageNetRecipe.kind), options)
        for model, kind in kinds.items()
    }
    return [
        run._replace(recipe=recipes[run.recipe.model], weights=given[run.recipe.model])
        for run in runs
    ]


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
