"""deepres localize evaluate: the localization error of a trained network."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.terminal import print_table, say
from deepres.data.detection.localization import open_localization_test
from deepres.data.detection.localization_views import LOCALIZATION_VIEWS
from deepres.data.views import VIEWS
from deepres.distributed import join_world
from deepres.recipes.localization import localization_recipe_from_dict
from deepres.run_folder import RunFolder
from deepres.runtime import keep_freed_memory, make_repeatable


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "evaluate", help="localization error, with the true classes or with predicted ones"
    )
    parser.add_argument("run", type=Path, help="folder of a finished run of localize train")
    parser.add_argument(
        "--classes",
        choices=["truth", "predicted"],
        default="truth",
        help="whose box is asked for: the image's own class (default), or the five likeliest ones",
    )
    parser.add_argument(
        "--classifier",
        type=Path,
        metavar="WEIGHTS",
        help="predicts the classes: a run's folder or a .safetensors file (default: the weights "
        "that the run began with)",
    )
    parser.add_argument(
        "--class-views",
        choices=VIEWS,
        default="multi-scale",
        help="what the classifier sees of an image (default: %(default)s, as in the paper)",
    )
    parser.add_argument(
        "--views",
        choices=LOCALIZATION_VIEWS,
        default="dense",
        help="what the localization network sees: the image's centre, the whole image (default), "
        "or that at five scales",
    )
    parser.add_argument(
        "--data", type=Path, help="as for train (default: where the run's data are)"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--workers", type=int, help="processes that decode images (default: one a core, up to 8)"
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Evaluate the network beside boxes that need none, print the errors and note them."""
    from deepres.evaluation.detection.localization_protocol import (  # not everyone has torchvision
        evaluate_localizer,
    )

    keep_freed_memory()
    meta = RunFolder(options.run).read_meta()
    recipe = localization_recipe_from_dict(meta["recipe"])
    world, device = join_world(options.device)
    make_repeatable(device)
    folder = options.data or Path(meta["data"]["location"])
    test = open_localization_test(folder, recipe.bad_boxes, say=say)
    classifier = None
    if options.classes == "predicted":
        classifier = options.classifier or Path(meta["weights"]["path"])
    found = evaluate_localizer(
        options.run,
        test,
        options.views,
        classifier=classifier,
        class_views=options.class_views,
        device=device,
        world=world,
        workers=options.workers,
        say=say,
    )
    if world.leader:
        rows = [[name, f"{top1:.2f}", f"{top5:.2f}"] for name, top1, top5 in found]
        asked = "the true class" if classifier is None else f"classes predicted by {classifier}"
        columns = [f"{test.name}, {asked}", "top-1 error (%)", "top-5 error (%)"]
        print_table("", columns, rows)
    return 0
