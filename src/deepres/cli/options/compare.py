"""What deepres compare takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands


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
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    parser.set_defaults(call="compare.call")
