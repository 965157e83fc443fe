"""deepres localize train: start a localization network's run, or go on with some."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepres.cli.terminal import data_folder, imagenet_folder, say
from deepres.cli.training import (
    as_asked,
    check_free_for_run,
    execution_of,
    goes_on,
    repeat,
    resume,
    say_outcomes,
    shorthands,
    tell_moving_averages,
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
from deepres.recipes.schema import naming
from deepres.run_contents import seed_of
from deepres.run_folder import RUNS, run_name
from deepres.run_weights import weights_file
from deepres.training.repetition import Original

if TYPE_CHECKING:
    from deepres.execution import Execution


def call(options: argparse.Namespace) -> int:
    """Train, draw the curves, and print the result."""
    named = naming(options.set)
    shorthands(options, "bad_boxes")
    if options.recipe:
        folders, results = repeat(
            options,
            BoxRecipe,
            lambda recipe, original: _open(
                data_folder(options.data, original.meta["data"]),
                recipe,
                _rpn(original, options.rpn),
                original.meta["data"]["fingerprint"],
            ),
            lambda: _execution(options),
            for_new_runs=("bad_boxes",),
        )
    elif goes_on(options, "deepres localize train resnet101 --weights RUN"):
        folders = options.resume
        results = resume(
            options,
            BoxRecipe,
            lambda recipe, meta: _open(
                data_folder(options.data, meta["data"]),
                recipe,
                None,
                meta["data"]["fingerprint"],
            ),
            lambda: _execution(options),
            for_new_runs=("weights", "rpn", "bad_boxes"),
        )
    else:
        folders, results = _start(options, named)
    say_outcomes(folders, results, _summary)
    return 0


def _summary(result: dict[str, Any]) -> str:
    error = f"{result['test_error_pct']:.2f} %"
    half = "R-CNN's localization error" if "rpn" in result else "localization error"
    return f"{result['model']}: {half} {error} with the true classes"


def _execution(options: argparse.Namespace) -> "Execution":
    return execution_of(options, save_every_s=options.save_every)


def _start(
    options: argparse.Namespace, named: list[str]
) -> tuple[list[Path], list[dict[str, Any]]]:
    """Start the run that a command asks for, whose folder is called by what is ``named``."""
    from deepres.training.api import task_of, train
    from deepres.training.localization_start import check_given

    rpn = options.rpn
    if not rpn:
        check_given(options.weights)
    seed = seed_of(options.seed or 0)
    papers = localization_rcnn_recipe if rpn else localization_recipe
    recipe: BoxRecipe = as_asked(papers(options.networks), options)
    # What is quickly found wrong comes before a download and before many annotations are read.
    here = _execution(options)
    parts = ["localization", *(["rcnn"] if rpn else []), *named]
    name = run_name(recipe.model, recipe.steps, recipe.scaled_from, seed, parts)
    folder = options.out or RUNS / name
    check_free_for_run(folder)
    if rpn:
        weights_file(rpn)
    if options.weights:
        options.weights = weights_for(recipe.model, options.weights, say)
        weights_file(options.weights)
        tell_moving_averages(options.weights)
    data = _open(options.data or imagenet_folder(), recipe, rpn)
    task_of(recipe).check_learnable(recipe, data)
    images = data.images if isinstance(data, LocalizationRCNNData) else data
    say(
        f"training {recipe.model} to {'judge regions' if rpn else 'localize'}, on "
        f"{len(images.train):,} images of {images.source}, for {recipe.steps:,} steps, into "
        f"{folder}"
    )
    result = train(recipe, folder, data, weights=options.weights, seed=seed, execution=here)
    return [folder], [result]


def _rpn(original: Original, given: Path | None) -> Path | None:
    """Return the RPN that a run's R-CNN began with, if it trained one.

    Args:
        original: the run.
        given: where the RPN is now; None: where it was.

    Raises:
        UserError: it is not there, or is another; or one is given and the run trained no R-CNN.
    """
    noted = original.meta.get("rpn")
    if given and not noted:
        raise UserError(f"{original.file} is of an RPN itself, not of an R-CNN; leave out --rpn")
    return original.found_again(noted, given, "--rpn") if noted else None


def _open(
    folder: Path, recipe: BoxRecipe, rpn: Path | None, began_with: str | None = None
) -> LocalizationData | LocalizationRCNNData:
    images = open_localization_data(folder, recipe.bad_boxes, began_with=began_with, say=say)
    is_rcnn = isinstance(recipe, LocalizationRCNNRecipe)
    return LocalizationRCNNData(images, rpn) if is_rcnn else images
