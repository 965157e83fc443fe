"""deepres localize train: start a localization network's run, or go on with one."""

import argparse
from pathlib import Path
from typing import Any

from deepres.cli import Commands
from deepres.cli.run_options import add_run_options, length
from deepres.cli.terminal import IMAGENET_FOLDER, say
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

EPILOG = """appendix C, with a classifier's run and the boxes in data/imagenet:
  deepres localize train resnet101 --weights runs/resnet101-s0
Tiny-ImageNet's boxes, some of which are of zero size, in crops of 56 pixels:
  deepres localize train resnet18 --weights runs/tiny --data tiny-imagenet-200 --set crop=56 \\
      --set shorter_side=64,80 --set anchor_sizes=14,28,56 --set bad_boxes=drop --steps 2000"""


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "train",
        help="train a localization network by the paper's recipe, or go on with a run",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("network", nargs="?", help="what it is built on, e.g. resnet101")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in a folder")
    parser.add_argument(
        "--weights",
        type=Path,
        help="of the network, trained for classification: a run's folder or a .safetensors file",
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with train/<class>/, val/<class>/, ILSVRC2012_bbox_train/ and "
        "ILSVRC2012_bbox_val/, or Tiny-ImageNet as published (default: where a run's data are, "
        f"else {IMAGENET_FOLDER})",
    )
    add_run_options(
        parser,
        seeds="new layers, order and draws",
        setting="lr=0.02",
        folder="runs/<network>-localization[-<steps>steps]-s<seed>",
    )
    parser.set_defaults(call=call)


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
    if result["departures"]:
        print(f"not the paper's: {describe(result['departures'])}")
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
