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
from deepres.training.run import resume_together, train_together
from deepres.training.setup import How


def call(options: argparse.Namespace) -> int:
    """Train, draw the curves, and print the results."""
    if (options.recipe is None) == (options.resume is None):
        raise UserError("name either a recipe, e.g. deepres train resnet20, or a run to --resume")
    how = How(
        device=options.device,
        workers=options.workers,
        save_every_s=options.save_every,
        graph=not options.no_graph,
        recompute=options.recompute,
        say=say,
    )
    folders, results = _resume(options, how) if options.resume else _start(options, how)
    if not is_leader():
        return 0
    for folder, result in zip(folders, results, strict=True):
        _print_result(result)
        print(f"curves: {learning_curves(RunFolder(folder))}")
    if len(results) > 1:
        errors = [result["test_error_pct"] for result in results]
        spread = f"{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f} %"
        print(f"{len(errors)} runs: test error {spread}, best {min(errors):.2f} %")
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
    if result["departures"]:
        print(f"not the paper's: {describe(result['departures'])}")


def _start(options: argparse.Namespace, how: How) -> tuple[list[Path], list[dict[str, Any]]]:
    first, count = options.seed or 0, options.seeds or 1
    if count < 1:
        raise UserError(f"--seeds is how many runs to train at once, 1 or more, got {count}")
    recipe = _recipe(options)
    resolve_device(options.device)  # before a long download
    runs = {seed: _folder(options, recipe, seed) for seed in range(first, first + count)}
    for folder in runs.values():
        RunFolder(folder).check_absent()
    data = open_data(options.data, recipe.kind)
    into = ", ".join(map(str, runs.values()))
    say(f"training {recipe.model} on {data.source} for {recipe.steps:,} steps, into {into}")
    return list(runs.values()), train_together(recipe, runs, data, how)


def _folder(options: argparse.Namespace, recipe: CifarRecipe | ImageNetRecipe, seed: int) -> Path:
    if options.out is None:
        return Path("runs") / run_name(options.recipe, recipe.steps, recipe.shortened_from, seed)
    out: Path = options.out
    return out if options.seeds is None else out.with_name(f"{out.name}-s{seed}")


def _recipe(options: argparse.Namespace) -> CifarRecipe | ImageNetRecipe:
    recipe = get_recipe(options.recipe)
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
