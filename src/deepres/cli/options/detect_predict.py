"""What deepres detect predict takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution
from deepres.cli.options.hints import add_precision_hint
from deepres.cli.options.improvements import add_improvements


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "predict", help="find objects in image files; draw them, and write them as JSON"
    )
    parser.add_argument(
        "weights", type=Path, metavar="WEIGHTS", help="a run's folder or a .safetensors file"
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    parser.add_argument(
        "--min-score",
        type=float,
        default=0.5,
        metavar="SCORE",
        help="leave out what is less certain than this (default: %(default)s)",
    )
    add_improvements(parser)
    add_execution(parser, workers=False)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        default=Path("detections"),
        help="for <image>.png and <image>.json (default: %(default)s)",
    )
    add_precision_hint(parser)
    parser.set_defaults(call="detect_predict.call")
