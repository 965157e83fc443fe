"""deepres export: trained weights for other programs."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.terminal import say
from deepres.models.exchange import TARGETS, export_weights


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("export", help="write a trained network for another program")
    parser.add_argument("weights", type=Path, help="a run folder or a .safetensors file")
    parser.add_argument("--to", dest="target", required=True, choices=TARGETS)
    parser.add_argument(
        "--out", type=Path, help="the new file (default: beside the weights, named for the network)"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that are there already by default names"
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Write, check, and name the files."""
    files = export_weights(options.weights, options.target, options.out, say, force=options.force)
    for file in files:
        print(file)
    return 0
