"""deepres detect train: start a detector's run, or go on with one."""

import argparse
from pathlib import Path
from typing import Any

from deepres.cli.terminal import length, say
from deepres.data.detection.records import DetectionSet
from deepres.data.detection.splits import open_detection_set
from deepres.distributed import is_leader
from deepres.errors import UserError
from deepres.models.weights import weights_file
from deepres.recipes import DetectionRecipe, detection_recipe, detection_recipe_from_dict
from deepres.recipes.detection import DATASETS, FOLDER_NAME
from deepres.report.figures import describe, learning_curves
from deepres.run_folder import RunFolder, run_name
from deepres.runtime import resolve_device

DATA_FOLDERS = {"voc07+12": "VOCdevkit", "voc07++12": "VOCdevkit", "coco": "coco"}


def call(options: argparse.Namespace) -> int:
    """Train, draw the curves, and print the result."""
    if (options.backbone is None) == (options.resume is None):
        raise UserError(
            "name either a network, e.g. deepres detect train resnet101 --on voc07+12, or a run to "
            "--resume"
        )
    common = {
        "device": options.device,
        "workers": options.workers,
        "save_every_s": options.save_every,
    }
    folder, result = _resume(options, common) if options.resume else _start(options, common)
    if not is_leader():
        return 0
    print(summary(result))
    if result["deviations"]:
        print(f"not the paper's: {describe(result['deviations'])}")
    print(f"curves: {learning_curves(RunFolder(folder))}")
    return 0


def summary(result: dict[str, Any]) -> str:
    """Return a run's outcome in a line."""
    precision = "no test"
    if "test_map_50_pct" in result:
        precision = f"mAP@.5 {result['test_map_50_pct']:.1f} %"
        if "test_map_pct" in result:
            precision += f", mAP@[.5, .95] {result['test_map_pct']:.1f} %"
        precision += f" on {result['test_data']}"
    return (
        f"{result['model']} detector: {precision}; {length(result)} on {result['data']}, "
        f"seed {result['seed']}"
    )


def _start(options: argparse.Namespace, common: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    from deepres.training.detector_run import train_detector  # not everyone has torchvision

    seed = options.seed or 0
    recipe, data = _recipe(options)
    # What is quickly found wrong comes before the annotations of a large data set.
    resolve_device(options.device)
    if options.weights is not None:
        weights_file(options.weights)
    name = data.resolve().name.lower() if recipe.dataset == FOLDER_NAME else recipe.dataset
    settings = [name, *(["joint"] if recipe.schedule == "joint" else [])]
    made = run_name(options.backbone, recipe.steps, recipe.shortened_from, seed, settings)
    folder = options.out or Path("runs") / made
    RunFolder(folder).check_absent()
    train_set, test_set = _open(recipe, data)
    if options.weights is None:
        say("no --weights: the network starts from random weights, not from a trained classifier")
    say(
        f"training a detector on {recipe.model}, with {len(train_set):,} images of "
        f"{train_set.name}, for {recipe.steps:,} steps, into {folder}"
    )
    weights = options.weights
    result = train_detector(
        recipe, folder, train_set, test_set, weights=weights, seed=seed, **common
    )
    return folder, result


def _recipe(options: argparse.Namespace) -> tuple[DetectionRecipe, Path]:
    """Return the recipe that is asked for, and where its data are."""
    if options.on is None:
        raise UserError(
            f"name the data set to train on: --on {', '.join(DATASETS)} or a folder in VOC's layout"
        )
    folder = Path(options.on)
    if options.on not in DATASETS and folder.is_dir():
        if options.data is not None:
            raise UserError(
                f"--on {options.on} is the folder of the data already; leave out --data"
            )
        dataset, data = FOLDER_NAME, folder
    elif options.on not in DATASETS and Path(options.on).name != options.on:
        raise UserError(f"{options.on}: no such folder")
    elif options.on == FOLDER_NAME:
        raise UserError("--on folder: name the folder itself, in VOC's layout; it is not here")
    else:
        dataset = options.on
        data = options.data or Path(DATA_FOLDERS.get(dataset, ""))
    recipe = detection_recipe(dataset, options.backbone, options.schedule or "4-step")
    if options.steps is not None and options.steps != recipe.steps:
        recipe = recipe.shortened(options.steps)
    return recipe.changed(options.set), data


def _open(recipe: DetectionRecipe, data: Path) -> tuple[DetectionSet, DetectionSet | None]:
    """Return the images to train on, and those to test on."""
    train_set = open_detection_set(recipe.train_set, data, recipe.bad_boxes, say)
    if recipe.test_set is None:
        return train_set, None
    return train_set, open_detection_set(recipe.test_set, data, recipe.bad_boxes, say)


def _resume(options: argparse.Namespace, common: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    from deepres.training.detector_run import resume_detector  # not everyone has torchvision

    for option in ("on", "weights", "schedule", "out", "seed"):
        if getattr(options, option) is not None:
            raise UserError(f"--{option} is for new runs: --resume keeps all of that")
    if options.set:
        raise UserError("--set is for new runs: --resume keeps the recipe")
    meta = RunFolder(options.resume).read_meta()
    recipe = detection_recipe_from_dict(meta["recipe"])
    data = _open(recipe, options.data or Path(meta["data"]["location"]))
    result = resume_detector(options.resume, *data, steps=options.steps, say=say, **common)
    return options.resume, result
