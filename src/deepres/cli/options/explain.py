"""What deepres explain takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution, add_json
from deepres.cli.options.weights import WEIGHTS_HELP, add_source


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "explain", help="draw where in an image a class is seen, and what each block adds"
    )
    parser.add_argument("subject", type=Path, metavar="WEIGHTS", help=WEIGHTS_HELP)
    parser.add_argument("image", type=Path, metavar="IMAGE", help="an image file")
    add_source(parser)
    parser.add_argument(
        "--class",
        dest="target",
        metavar="NAME",
        help="the class that Grad-CAM looks for (default: the likeliest)",
    )
    parser.add_argument(
        "--top", type=int, metavar="N", default=3, help="classes to show (default: %(default)s)"
    )
    add_json(parser)
    add_execution(parser, workers=False)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the picture, .png, .svg or .pdf (default: <image>-explained.png)",
    )
    parser.set_defaults(call="explain.call")
