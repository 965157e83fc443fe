"""What deepres compare takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_json, add_x_axis


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "compare", help="draw runs over each other, and list in what they differ"
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the curves, .png, .svg or .pdf (default: compare.png)",
    )
    add_x_axis(parser)
    add_json(parser)
    parser.set_defaults(call="compare.call")
