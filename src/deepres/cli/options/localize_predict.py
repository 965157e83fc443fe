"""What deepres localize predict takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution, add_json
from deepres.cli.options.hints import add_precision_hint
from deepres.cli.options.weights import WEIGHTS_HELP


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("predict", help="say where an image's object is, and draw it")
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder of a finished run of localize train"
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--class",
        dest="target",
        metavar="NAME",
        help="the class whose object is looked for (default: the likeliest)",
    )
    asked.add_argument(
        "--classifier",
        type=Path,
        metavar="WEIGHTS",
        help=f"predicts the classes: {WEIGHTS_HELP} (default: the weights that the run began with)",
    )
    parser.add_argument(
        "--top",
        type=int,
        metavar="N",
        default=1,
        help="so many of the likeliest classes are looked for (default: %(default)s)",
    )
    parser.add_argument(
        "--views",
        choices=["1-crop", "single-scale", "multi-scale"],
        default="single-scale",
        help="what the RPN sees, as for evaluate (default: %(default)s)",
    )
    add_json(parser)
    add_execution(parser, workers=False)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        default=Path("localizations"),
        help="for <image>.png (default: %(default)s)",
    )
    add_precision_hint(parser)
    parser.set_defaults(call="localize_predict.call")
