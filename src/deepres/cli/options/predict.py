"""What deepres predict takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("predict", help="classify image files")
    parser.add_argument("weights", type=Path, help="a run folder or a .safetensors file")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    parser.add_argument("--top", type=int, default=3, help="classes to show (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.set_defaults(call="predict.call")
