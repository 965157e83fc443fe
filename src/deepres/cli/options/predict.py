"""What deepres predict takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution, add_json
from deepres.cli.options.weights import WEIGHTS_HELP, add_source


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("predict", help="classify images")
    parser.add_argument("subject", type=Path, metavar="WEIGHTS", help=WEIGHTS_HELP)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="image files, folders of them, web addresses, or - for standard input",
    )
    add_source(parser)
    parser.add_argument(
        "--top", type=int, metavar="N", default=3, help="classes to show (default: %(default)s)"
    )
    shape = parser.add_mutually_exclusive_group()
    add_json(shape)
    shape.add_argument("--csv", action="store_true", help="print CSV in place of tables")
    add_execution(parser, workers=False)
    parser.set_defaults(call="predict.call")
