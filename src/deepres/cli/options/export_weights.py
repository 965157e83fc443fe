"""What deepres export takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.weights import WEIGHTS_HELP, add_source

TARGETS = ("safetensors", "torchvision", "onnx", "caffe", "huggingface")


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("export", help="write a trained network for another program")
    # The new file may follow the program, and so may the weights where they were not named before.
    parser.add_argument("subject", nargs="?", metavar="WEIGHTS", help=WEIGHTS_HELP)
    parser.add_argument(
        "--to",
        nargs="+",
        required=True,
        metavar=("PROGRAM", "OUT"),
        help=f"the program: {', '.join(TARGETS)} (a folder with weights, config.json and a model "
        "card); and the new file or folder, as by --out",
    )
    add_source(parser)
    parser.add_argument(
        "--out",
        type=Path,
        help="the new file or folder (default: beside the weights, named for the network; of "
        "weights by name in this folder)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that are there already by default names"
    )
    parser.set_defaults(call="export_weights.call")
