"""What deepres localize evaluate takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_bad_boxes, add_execution, add_json
from deepres.cli.options.hints import add_precision_hint
from deepres.cli.options.weights import WEIGHTS_HELP


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "evaluate", help="localization error, with the true classes or with predicted ones"
    )
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folder of a finished run of localize train; several R-CNNs' are an ensemble",
    )
    parser.add_argument(
        "--classes",
        choices=["truth", "predicted"],
        default="truth",
        help="whose box is asked for: the image's own class (default), or the five likeliest ones",
    )
    parser.add_argument(
        "--classifier",
        type=Path,
        action="append",
        metavar="WEIGHTS",
        help=f"predicts the classes: {WEIGHTS_HELP} (default: the weights that the runs began "
        "with); may be given several times, for an ensemble",
    )
    parser.add_argument(
        "--class-views",
        choices=["1-crop", "10-crop", "multi-scale"],
        default="multi-scale",
        help="what the classifier sees of an image (default: %(default)s, as in the paper)",
    )
    parser.add_argument(
        "--views",
        choices=["1-crop", "single-scale", "multi-scale"],
        default="single-scale",
        help="what the RPN sees: the image's centre, the whole image (default), or that at five "
        "scales, which the paper calls dense",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="as for train (default: where the run's data are)",
    )
    add_bad_boxes(parser, "as in training")
    add_execution(parser)
    add_json(parser)
    add_precision_hint(parser)
    parser.set_defaults(call="localize_evaluate.call")
