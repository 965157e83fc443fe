"""deepres localize evaluate: the localization error of a trained network, or of an ensemble."""

import argparse
from pathlib import Path

from deepres.cli.runs import classifier_of
from deepres.cli.terminal import data_folder, print_json, print_table, say
from deepres.cli.training import execution_of
from deepres.data.detection.localization import open_localization_test
from deepres.evaluation.evaluation_log import noting_errors_last
from deepres.pretrained import find_weights
from deepres.recipes import BoxRecipe, recipe_from_dict
from deepres.run_folder import RunFolder


@noting_errors_last(say)
def call(options: argparse.Namespace) -> int:
    """Evaluate what is named beside boxes that need no network, print the errors and note them."""
    from deepres.evaluation.detection.localization_protocol import (  # not everyone has torchvision
        evaluate_localizers,
        named,
    )

    metas = [RunFolder(run).read_meta() for run in options.runs]
    recipe = recipe_from_dict(metas[0]["recipe"], BoxRecipe, options.runs[0])
    execution = execution_of(options)
    folder = data_folder(options.data, metas[0]["data"])
    test = open_localization_test(folder, options.bad_boxes or recipe.bad_boxes, say=say)
    classifiers: list[Path] = []
    if options.classes == "predicted":
        own = [classifier_of(meta) for meta in metas]
        given = [find_weights(each, say=say) for each in options.classifier or []]
        classifiers = given or list(dict.fromkeys(own))
    found = evaluate_localizers(
        options.runs,
        test,
        options.views,
        execution,
        classifiers=classifiers,
        class_views=options.class_views,
    )
    if execution.world.leader:
        if options.json:
            print_json(
                {
                    "data": test.name,
                    "views": options.views,
                    "classes": options.classes,
                    "classifiers": [str(path) for path in classifiers],
                    "tests": [
                        {"test": name, "top1_error_pct": top1, "top5_error_pct": top5}
                        for name, top1, top5 in found
                    ],
                }
            )
            return 0
        rows = [[name, f"{top1:.2f}", f"{top5:.2f}"] for name, top1, top5 in found]
        asked = f"classes predicted by {named(classifiers)}" if classifiers else "the true class"
        columns = [f"{test.name}, {asked}", "top-1 error (%)", "top-5 error (%)"]
        print_table("", columns, rows)
    return 0
