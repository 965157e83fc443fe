"""deepres localize train: start a localization network's run, or go on with some."""

import argparse
from pathlib import Path
from typing import Any

from deepres.cli.terminal import data_folder, imagenet_folder, say
from deepres.cli.train_command import TrainCommand
from deepres.cli.training import (
    as_asked,
    check_free_for_run,
    tell_moving_averages,
    training_execution,
)
from deepres.data.detection.localization import (
    LocalizationData,
    LocalizationRCNNData,
    open_localization_data,
)
from deepres.errors import UserError
from deepres.pretrained import weights_for
from deepres.recipes import (
    BoxRecipe,
    LocalizationRCNNRecipe,
    localization_rcnn_recipe,
    localization_recipe,
)
from deepres.run_contents import seed_of
from deepres.run_places import RUNS, run_name
from deepres.training.begun_from import found_again


def call(options: argparse.Namespace) -> int:
    """Train, draw the curves, and print the result."""
    command = TrainCommand(
        recipe_type=BoxRecipe,
        example="deepres localize train resnet101 --weights RUN",
        start=_start,
        open_data=_open_again,
        summary=_summary,
        shorthands=("bad_boxes",),
        not_resumed=("weights", "rpn", "bad_boxes"),
        not_repeated=("bad_boxes",),
    )
    command.run(options)
    return 0


def _summary(result: dict[str, Any]) -> str:
    error = f"{result['test_error_pct']:.2f} %"
    half = "R-CNN's localization error" if "rpn" in result else "localization error"
    return f"{result['model']}: {half} {error} with the true classes"


def _start(
    options: argparse.Namespace, named: list[str]
) -> tuple[list[Path], list[dict[str, Any]]]:
    """Start the run that a command asks for, whose folder is called by what is ``named``."""
    from deepres.detection.localizer_file import load_localizer  # not everyone has torchvision
    from deepres.training.api import task_of, train
    from deepres.training.localization_start import check_classes, check_given, given_classifier

    rpn = options.rpn
    if not rpn:
        check_given(options.weights)
    seed = seed_of(options.seed or 0)
    papers = localization_rcnn_recipe if rpn else localization_recipe
    recipe: BoxRecipe = as_asked(papers(options.networks), options)
    # What is quickly found wrong comes before a download and before many annotations are read.
    here = training_execution(options)
    parts = ["localization", *(["rcnn"] if rpn else []), *named]
    name = run_name(recipe.model, recipe.steps, recipe.scaled_from, seed, parts)
    folder = options.out or RUNS / name
    check_free_for_run(folder)
    begun_from: dict[Path, tuple[str, ...]] = {}  # weights, and what classes they know
    if rpn:
        begun_from[rpn] = load_localizer(rpn)[0].classes
    if options.weights:
        options.weights = weights_for(recipe.model, options.weights, say)
        classifier = given_classifier(options.weights, recipe.model)
        begun_from[options.weights] = classifier.classes
        tell_moving_averages(options.weights)
    data = _open(options.data or imagenet_folder(), recipe, rpn)
    task_of(recipe).check_learnable(recipe, data)
    images = data.images if isinstance(data, LocalizationRCNNData) else data
    for weights, classes in begun_from.items():
        check_classes(classes, images, weights)
    say(
        f"training {recipe.model} to {'judge regions' if rpn else 'localize'}, on "
        f"{len(images.train):,} images of {images.source}, for {recipe.steps:,} steps, into "
        f"{folder}"
    )
    result = train(recipe, folder, data, weights=options.weights, seed=seed, execution=here)
    return [folder], [result]


def _open_again(
    options: argparse.Namespace, recipe: BoxRecipe, meta: dict[str, Any]
) -> LocalizationData | LocalizationRCNNData:
    """Open the data of a run that has begun already.

    Raises:
        UserError: a run is repeated, and its RPN is not there, or is another; or one is given and
            the run trained no R-CNN.
    """
    noted = meta.get("rpn") if options.recipe else None
    if options.rpn and not noted:
        raise UserError(f"{options.recipe} is of an RPN itself, not of an R-CNN; leave out --rpn")
    advice = "give the same by --rpn"
    rpn = noted and found_again(noted, options.rpn, whose=options.recipe, advice=advice)
    place = data_folder(options.data, meta["data"])
    return _open(place, recipe, rpn, meta["data"]["fingerprint"])


def _open(
    folder: Path, recipe: BoxRecipe, rpn: Path | None, began_with: str | None = None
) -> LocalizationData | LocalizationRCNNData:
    images = open_localization_data(folder, recipe.bad_boxes, began_with=began_with, say=say)
    is_rcnn = isinstance(recipe, LocalizationRCNNRecipe)
    return LocalizationRCNNData(images, rpn) if is_rcnn else images
