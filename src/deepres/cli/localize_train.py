"""deepres localize train: start a localization network's run, or go on with one."""

import argparse
from pathlib import Path
from typing import Any

from deepres.cli.terminal import IMAGENET_FOLDER, length, say
from deepres.data.detection.localization import LocalizationData, open_localization_data
from deepres.distributed import is_leader
from deepres.errors import UserError
from deepres.models.weights import weights_file
from deepres.recipes.localization import (
    LocalizationRecipe,
    localization_recipe,
    localization_recipe_from_dict,
)
from deepres.report.figures import describe
from deepres.run_folder import RunFolder, run_name
from deepres.runtime import resolve_device


def call(options: argparse.Namespace) -> int:
    """Train, and print the result."""
    if (options.network is None) == (options.resume is None):
        raise UserError(
            "name either a network, e.g. deepres localize train resnet101 --weights RUN, or a run "
            "to --resume"
        )
    common = {
        "device": options.device,
        "workers": options.workers,
        "save_every_s": options.save_every,
    }
    folder, result = _resume(options, common) if options.resume else _start(options, common)
    if not is_leader():
        return 0
    print(
        f"{result['model']}: localization error {result['test_error_pct']:.2f} % with the true "
        f"classes, {length(result)}, {result['data']}, seed {result['seed']}"
    )
    if result["deviations"]:
        print(f"not the paper's: {describe(result['deviations'])}")
    print(f"run: {folder}")
    return 0


def _start(options: argparse.Namespace, common: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    from deepres.training.localize_run import train_localizer  # not everyone has torchvision

    if options.weights is None:
        raise UserError(
            "a localization network starts from one that was trained to classify: give its run's "
            "folder or .safetensors file by --weights"
        )
    seed = options.seed or 0
    recipe = localization_recipe(options.network)
    if options.steps is not None and options.steps != recipe.steps:
        recipe = recipe.shortened(options.steps)
    recipe = recipe.changed(options.set)
    # What is quickly found wrong comes before many annotations are read.
    resolve_device(options.device)
    weights_file(options.weights)
    name = run_name(options.network, recipe.steps, recipe.shortened_from, seed, ["localization"])
    folder = options.out or Path("runs") / name
    RunFolder(folder).check_absent()
    data = _open(options.data or IMAGENET_FOLDER, recipe)
    say(
        f"training {recipe.model} to localize, on {len(data.train):,} images of {data.source}, "
        f"for {recipe.steps:,} steps, into {folder}"
    )
    result = train_localizer(recipe, folder, data, options.weights, seed=seed, **common)
    return folder, result


def _resume(options: argparse.Namespace, common: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    from deepres.training.localize_run import resume_localizer  # not everyone has torchvision

    for option in ("weights", "out", "seed"):
        if getattr(options, option) is not None:
            raise UserError(f"--{option} is for new runs: --resume keeps all of that")
    if options.set:
        raise UserError("--set is for new runs: --resume keeps the recipe")
    meta = RunFolder(options.resume).read_meta()
    recipe = localization_recipe_from_dict(meta["recipe"])
    data = _open(options.data or Path(meta["data"]["location"]), recipe)
    result = resume_localizer(options.resume, data, steps=options.steps, say=say, **common)
    return options.resume, result


def _open(folder: Path, recipe: LocalizationRecipe) -> LocalizationData:
    return open_localization_data(folder, recipe.bad_boxes, say=say)
