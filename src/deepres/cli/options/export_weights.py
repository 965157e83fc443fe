"""What deepres export takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.weights import WEIGHTS_HELP, add_source

TARGETS = ("safetensors", "torchvision", "onnx", "caffe", "huggingface")


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("export", help="write a trained network for another program")
    parser.add_argument("subject", metavar="WEIGHTS", help=WEIGHTS_HELP)
    parser.add_argument(
        "--to",
        required=True,
        choices=TARGETS,
        help="the program that is to read them; huggingface: a folder with weights, config.json "
        "and a model card",
    )
    add_source(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE|FOLDER",
        help="the new file or folder (default: beside the weights, named for the network; of "
        "weights by name in this folder)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that are there already by default names"
    )
    parser.set_defaults(call="export_weights.call")
