"""deepres detect train: start a detector's run, or go on with some."""

import argparse
from pathlib import Path
from typing import Any

from deepres.cli.terminal import data_folder, say
from deepres.cli.train_command import TrainCommand
from deepres.cli.training import (
    as_asked,
    check_free_for_run,
    tell_moving_averages,
    training_execution,
)
from deepres.data.detection.records import DetectionData
from deepres.data.detection.splits import open_detection_set
from deepres.errors import UserError, no_such
from deepres.pretrained import weights_for
from deepres.recipes import DetectionRecipe, detection_recipe
from deepres.recipes.detection import DATASETS, FOLDER_NAME
from deepres.run_contents import seed_of
from deepres.run_places import RUNS, run_name
from deepres.run_weights import weights_file

DATA_FOLDERS = {
    **dict.fromkeys(("voc07+12", "voc07++12"), "VOCdevkit"),
    **dict.fromkeys(("coco", "coco-trainval", "coco2017"), "coco"),
    "imagenet-det": "ILSVRC",
}


def call(options: argparse.Namespace) -> int:
    """Train, draw the curves, and print the result."""
    command = TrainCommand(
        recipe_type=DetectionRecipe,
        example="deepres detect train resnet101 --on voc07+12",
        start=_start,
        open_data=_open_again,
        summary=summary,
        shorthands=("bad_boxes",),
        not_resumed=("on", "weights", "schedule", "bad_boxes"),
        not_repeated=("on", "schedule", "bad_boxes"),
    )
    command.run(options)
    return 0


def summary(result: dict[str, Any]) -> str:
    """Return what came of a run, in words."""
    words = f"{result['model']} detector: no test"
    if "test_map_50_pct" in result:
        words = f"{result['model']} detector: mAP@.5 {result['test_map_50_pct']:.1f} %"
        if "test_map_pct" in result:
            words += f", mAP@[.5, .95] {result['test_map_pct']:.1f} %"
        words += f" on {result['test_data']}"
    return words


def _start(
    options: argparse.Namespace, named: list[str]
) -> tuple[list[Path], list[dict[str, Any]]]:
    """Start the run that a command asks for, whose folder is called by what is ``named``."""
    from deepres.detection.beginning import initial_detector  # not everyone has torchvision
    from deepres.training.api import task_of, train

    seed = seed_of(options.seed or 0)
    recipe, place = _recipe(options)
    # What is quickly found wrong comes before a download and the annotations of a large data set.
    here = training_execution(options)
    name = place.resolve().name.lower() if recipe.dataset == FOLDER_NAME else recipe.dataset
    settings = [name, *(["joint"] if recipe.schedule == "joint" else []), *named]
    made = run_name(recipe.model, recipe.steps, recipe.scaled_from, seed, settings)
    folder = options.out or RUNS / made
    check_free_for_run(folder)
    if options.weights is not None:
        options.weights = weights_for(recipe.model, options.weights, say)
        if recipe.detector.batch_norm == "frozen":
            tell_moving_averages(options.weights)
    # Made for its errors alone: the annotations of a large set take longer to read.
    initial_detector(recipe, ("any",), options.weights and weights_file(options.weights), seed)
    data = _open(recipe, place)
    task_of(recipe).check_learnable(recipe, data)
    if options.weights is None:
        say("no --weights: the network starts from random weights, not from a trained classifier")
    say(
        f"training a detector on {recipe.model}, with {len(data.train):,} images of "
        f"{data.train.name}, for {recipe.steps:,} steps, into {folder}"
    )
    result = train(recipe, folder, data, weights=options.weights, seed=seed, execution=here)
    return [folder], [result]


def _recipe(options: argparse.Namespace) -> tuple[DetectionRecipe, Path]:
    """Return the recipe that is asked for, and where its data are."""
    if options.on is None:
        raise UserError(
            f"name the data set to train on: --on {', '.join(DATASETS)} or a folder in VOC's or "
            "COCO's layout"
        )
    folder = Path(options.on)
    if options.on not in DATASETS and folder.is_dir():
        if options.data is not None:
            raise UserError(
                f"--on {options.on} is the folder of the data already; leave out --data"
            )
        dataset, data = FOLDER_NAME, folder
    elif options.on not in DATASETS and Path(options.on).name != options.on:
        raise UserError(no_such("folder", options.on))
    elif options.on == FOLDER_NAME:
        raise UserError("--on folder stands for a folder in VOC's or COCO's layout: give its path")
    else:
        dataset = options.on
        data = options.data or Path(DATA_FOLDERS.get(dataset, ""))
    recipe = detection_recipe(dataset, options.networks, options.schedule or "4-step")
    return as_asked(recipe, options), data


def _open_again(
    options: argparse.Namespace, recipe: DetectionRecipe, meta: dict[str, Any]
) -> DetectionData:
    """Return the data of a run that has begun already."""
    return _open(recipe, data_folder(options.data, meta["data"]))


def _open(recipe: DetectionRecipe, folder: Path) -> DetectionData:
    """Return the images to train on, and those to test on."""
    # The test set is the smaller one: what is missing of it is said before the other is read.
    test_set, train_set = (
        name and open_detection_set(name, folder, recipe.bad_boxes, say)
        for name in (recipe.test_set, recipe.train_set)
    )
    assert train_set
    known, tested = set(train_set.paths()), test_set.paths() if test_set else []
    if seen := len(known.intersection(tested)):
        say(f"{seen:,} of {len(tested):,} test images are trained on, too: they test nothing new")
    return DetectionData(train_set, test_set or None)
