"""What deepres compare takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands


def add_x_axis(parser: argparse.ArgumentParser) -> None:
    """Declare what curves are drawn against."""
    parser.add_argument(
        "--x-axis",
        choices=["steps", "share"],
        help="draw curves against steps, or against the share of each run's schedule in %% "
        "(default: steps, unless one run is more than three times as long as another)",
    )


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "compare", help="draw runs over each other, and list in what they differ"
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders")
    parser.add_argument(
        "--out",
        type=Path,
        help="where to draw the curves: .png, .svg or .pdf (default: compare.png)",
    )
    add_x_axis(parser)
    parser.set_defaults(call="compare.call")
