"""deepres localize evaluate: the localization error of a trained network."""

import argparse
from pathlib import Path

from deepres.cli.terminal import print_table, say
from deepres.cli.training import execution_of
from deepres.data.detection.localization import open_localization_test
from deepres.recipes import LocalizationRecipe, recipe_from_dict
from deepres.run_folder import RunFolder


def call(options: argparse.Namespace) -> int:
    """Evaluate the network beside boxes that need none, print the errors and note them."""
    from deepres.evaluation.detection.localization_protocol import (  # not everyone has torchvision
        evaluate_localizer,
    )

    meta = RunFolder(options.run).read_meta()
    recipe = recipe_from_dict(meta["recipe"], LocalizationRecipe)
    execution = execution_of(options)
    folder = options.data or Path(meta["data"]["location"])
    test = open_localization_test(folder, recipe.bad_boxes, say=say)
    classifier = None
    if options.classes == "predicted":
        classifier = options.classifier or Path(meta["initial_weights"]["file"])
    found = evaluate_localizer(
        options.run,
        test,
        options.views,
        execution,
        classifier=classifier,
        class_views=options.class_views,
    )
    if execution.world.leader:
        rows = [[name, f"{top1:.2f}", f"{top5:.2f}"] for name, top1, top5 in found]
        asked = "the true class" if classifier is None else f"classes predicted by {classifier}"
        columns = [f"{test.name}, {asked}", "top-1 error (%)", "top-5 error (%)"]
        print_table("", columns, rows)
    return 0
