"""deepres train: start a run, or go on with one."""

import argparse
import statistics
from pathlib import Path
from typing import Any

from deepres.cli.terminal import length, open_data, say
from deepres.distributed import is_leader
from deepres.errors import UserError
from deepres.recipes import (
    CifarRecipe,
    ImageNetRecipe,
    classification_recipe_from_dict,
    get_recipe,
)
from deepres.report.figures import describe, learning_curves
from deepres.run_folder import RunFolder, run_name
from deepres.runtime import resolve_device
from deepres.training.run import NewRun, resume_together, train_together
from deepres.training.setup import How


def call(options: argparse.Namespace) -> int:
    """Train, draw the curves, and print the results."""
    if bool(options.recipes) == (options.resume is not None):
        raise UserError("name either a network, e.g. deepres train resnet20, or a run to --resume")
    how = How(
        device=options.device,
        workers=options.workers,
        save_every_s=options.save_every,
        graph=not options.no_graph,
        fused_convolutions=not options.no_fused_convolutions,
        recompute=options.recompute,
        say=say,
    )
    folders, results = _resume(options, how) if options.resume else _start(options, how)
    if not is_leader():
        return 0
    for folder, result in zip(folders, results, strict=True):
        _print_result(result)
        print(f"curves: {learning_curves(RunFolder(folder))}")
    for model in dict.fromkeys(result["model"] for result in results):
        errors = [result["test_error_pct"] for result in results if result["model"] == model]
        if len(errors) > 1:
            spread = f"{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f} %"
            print(f"{model}, {len(errors)} runs: test error {spread}, best {min(errors):.2f} %")
    return 0


def _print_result(result: dict[str, Any]) -> None:
    print(
        f"{result['model']}: test error {result['test_error_pct']:.2f} %, "
        f"training error {result['train_error_pct']:.2f} %, {length(result)}, "
        f"{result['data']}, seed {result['seed']}"
    )
    if skipped := result["skipped_images"]:
        print(f"left out: {skipped:,} times an image that cannot be decoded")
    if skipped := result["skipped_test_images"]:
        print(f"left out of the test: {skipped:,} images that cannot be decoded")
    if result["deviations"]:
        print(f"not the paper's: {describe(result['deviations'])}")


def _start(options: argparse.Namespace, how: How) -> tuple[list[Path], list[dict[str, Any]]]:
    first, count = options.seed or 0, 1 if options.seeds is None else options.seeds
    if count < 1:
        raise UserError(f"--seeds is how many runs to train at once, 1 or more, got {count}")
    recipes = {name: _recipe(name, options) for name in options.recipes}
    kinds = {recipe.kind for recipe in recipes.values()}
    if len(kinds) > 1:
        raise UserError("networks that are trained at once are all of CIFAR-10 or all of ImageNet")
    resolve_device(options.device)  # before a long download
    runs = []
    for name, recipe in recipes.items():
        for seed in range(first, first + count):
            folder = Path("runs") / run_name(name, recipe.steps, recipe.shortened_from, seed)
            runs.append(NewRun(recipe, seed, folder))
    if options.out is not None:
        alone = len(runs) == 1
        runs = [r._replace(folder=options.out / ("" if alone else r.folder.name)) for r in runs]
    for run in runs:
        RunFolder(run.folder).check_absent()
    data = open_data(options.data, kinds.pop())
    for recipe, _, folder in runs:
        say(f"training {recipe.model} on {data.source} for {recipe.steps:,} steps, into {folder}")
    return [run.folder for run in runs], train_together(runs, data, how)


def _recipe(name: str, options: argparse.Namespace) -> CifarRecipe | ImageNetRecipe:
    recipe = get_recipe(name)
    if options.steps is not None and options.steps != recipe.steps:
        recipe = recipe.shortened(options.steps)
    if options.precision:
        recipe = recipe.changed([f"precision={options.precision}"])
    if options.accumulate is not None:
        recipe = recipe.changed([f"accumulate={options.accumulate}"])
    return recipe.changed(options.set)


def _resume(options: argparse.Namespace, how: How) -> tuple[list[Path], list[dict[str, Any]]]:
    for option in ("precision", "accumulate", "out", "seed", "seeds"):
        if getattr(options, option) is not None:
            raise UserError(f"--{option} is for new runs: --resume keeps recipe, seed and folder")
    if any(not setting.startswith("bad_images=") for setting in options.set):
        raise UserError("--set is for new runs: --resume keeps the recipe, all but bad_images")
    meta = RunFolder(options.resume[0]).read_meta()
    classification_recipe_from_dict(meta["recipe"])
    data = open_data(options.data or meta["data"]["location"], meta["recipe"].get("kind", ""))
    policy = options.set[-1].partition("=")[2] if options.set else None
    steps = options.steps
    return options.resume, resume_together(
        options.resume, data, how, steps=steps, bad_images=policy
    )
