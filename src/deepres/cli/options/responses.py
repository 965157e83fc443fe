"""What deepres responses takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution
from deepres.cli.terminal import DATA_HELP


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "responses", help="measure how strongly each 3×3 layer of a run responds (Figure 7)"
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folders of finished runs"
    )
    parser.add_argument(
        "--images",
        type=int,
        metavar="N",
        default=1_000,
        help="how many test images to measure on (default: %(default)s)",
    )
    parser.add_argument("--data", metavar="FOLDER", help=DATA_HELP)
    add_execution(parser)
    parser.set_defaults(call="responses.call")
