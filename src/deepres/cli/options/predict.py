"""What deepres predict takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("predict", help="classify image files")
    parser.add_argument("weights", type=Path, help="a run folder or a .safetensors file")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    parser.add_argument("--top", type=int, default=3, help="classes to show (default: %(default)s)")
    add_execution(parser, workers=False)
    parser.set_defaults(call="predict.call")
