"""What deepres export takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("export", help="write a trained network for another program")
    parser.add_argument("weights", type=Path, help="a run folder or a .safetensors file")
    parser.add_argument(
        "--to",
        dest="target",
        required=True,
        choices=["safetensors", "torchvision", "onnx", "caffe"],
    )
    parser.add_argument(
        "--out", type=Path, help="the new file (default: beside the weights, named for the network)"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that are there already by default names"
    )
    parser.set_defaults(call="export_weights.call")
