"""deepres train: start a run, or go on with one."""

import argparse
from pathlib import Path
from typing import Any

from deepres.cli import Commands
from deepres.cli.terminal import DATA_HELP, open_data, say
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
from deepres.training import resume, train
from deepres.training.beginning import SAVE_EVERY_S


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "train", help="train a network by the paper's recipe, or go on with a run"
    )
    parser.add_argument("recipe", nargs="?", help="a network of the paper, e.g. resnet20")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in a folder")
    parser.add_argument(
        "--steps",
        type=int,
        help="shorten the recipe to so many steps, its milestones in proportion; "
        "with --resume: extend the run to so many",
    )
    parser.add_argument("--seed", type=int, help="of weights, order and crops (default: 0)")
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="replace a field of the recipe, e.g. lr=0.05; may be given several times",
    )
    parser.add_argument(
        "--accumulate",
        type=int,
        metavar="PARTS",
        help="take each process's share of a batch in parts, if memory is short "
        "(short for --set accumulate=…)",
    )
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="short for --set precision=…")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--workers",
        type=int,
        help="processes that decode image files (default: one a core, up to 8)",
    )
    parser.add_argument(
        "--out", type=Path, help="folder to make (default: runs/<recipe>[-<steps>steps]-s<seed>)"
    )
    parser.add_argument(
        "--save-every",
        type=float,
        default=SAVE_EVERY_S,
        metavar="SECONDS",
        help="time between checkpoints (default: %(default).0f)",
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Train, draw the curves, and print the result."""
    if (options.recipe is None) == (options.resume is None):
        raise UserError("name either a recipe, e.g. deepres train resnet20, or a run to --resume")
    common = {
        "device": options.device,
        "workers": options.workers,
        "save_every_s": options.save_every,
        "say": say,
    }
    if options.resume:
        folder, result = _resume(options, common)
    else:
        folder, result = _start(options, common)
    if not is_leader():
        return 0
    curves = learning_curves(RunFolder(folder))
    length = f"{result['steps']:,} steps"
    if shortened := result["shortened_from"]:
        length += f", shortened from {shortened:,}"
    print(
        f"{result['model']}: test error {result['test_error_pct']:.2f} %, "
        f"training error {result['train_error_pct']:.2f} %, {length}, "
        f"{result['data']}, seed {result['seed']}"
    )
    if skipped := result["skipped_images"]:
        print(f"left out: {skipped:,} times an image that cannot be decoded")
    if skipped := result["skipped_test_images"]:
        print(f"left out of the test: {skipped:,} images that cannot be decoded")
    if result["departures"]:
        print(f"not the paper's: {describe(result['departures'])}")
    print(f"curves: {curves}")
    return 0


def _start(options: argparse.Namespace, common: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    seed = options.seed or 0
    recipe = _recipe(options)
    resolve_device(options.device)  # before a long download
    name = run_name(options.recipe, recipe.steps, recipe.shortened_from, seed)
    folder = options.out or Path("runs") / name
    RunFolder(folder).check_absent()
    data = open_data(options.data, recipe.kind)
    say(f"training {recipe.model} on {data.source} for {recipe.steps:,} steps, into {folder}")
    return folder, train(recipe, folder, data, seed=seed, **common)


def _recipe(options: argparse.Namespace) -> CifarRecipe | ImageNetRecipe:
    recipe = get_recipe(options.recipe)
    if options.steps is not None and options.steps != recipe.steps:
        recipe = recipe.shortened(options.steps)
    if options.precision:
        recipe = recipe.changed([f"precision={options.precision}"])
    if options.accumulate is not None:
        recipe = recipe.changed([f"accumulate={options.accumulate}"])
    return recipe.changed(options.set)


def _resume(options: argparse.Namespace, common: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    for option in ("precision", "accumulate", "out", "seed"):
        if getattr(options, option) is not None:
            raise UserError(f"--{option} is for new runs: --resume keeps recipe, seed and folder")
    if any(not setting.startswith("bad_images=") for setting in options.set):
        raise UserError("--set is for new runs: --resume keeps the recipe, all but bad_images")
    meta = RunFolder(options.resume).read_meta()
    classification_recipe_from_dict(meta["recipe"])
    data = open_data(options.data or meta["data"]["location"], meta["recipe"].get("kind", ""))
    policy = options.set[-1].partition("=")[2] if options.set else None
    result = resume(options.resume, data, steps=options.steps, bad_images=policy, **common)
    return options.resume, result
