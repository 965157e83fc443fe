"""What deepres features takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_bad_images, add_execution
from deepres.cli.options.weights import WEIGHTS_HELP, add_source


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("features", help="write a layer's pooled output for each image")
    parser.add_argument("subject", type=Path, metavar="WEIGHTS", help=WEIGHTS_HELP)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images lie in it at any depth")
    add_source(parser)
    parser.add_argument(
        "--layer",
        metavar="STAGE",
        help="a stage by the paper's name, e.g. conv5_x (default: the last before fc)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="an .npz file: names (N) and features (N, C)",
    )
    add_bad_images(parser)
    add_execution(parser)
    parser.set_defaults(call="features.call")
