"""What deepres data takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options import imagenet
from deepres.cli.terminal import DATA_FOLDER


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's data sets and their options."""
    parser = commands.add_parser("data", help="fetch a data set, or check what is there")
    datasets = parser.add_subparsers(required=True, metavar="DATASET")
    cifar10 = datasets.add_parser("cifar10", help="fetch CIFAR-10, or check it")
    cifar10.add_argument(
        "--dir",
        type=Path,
        default=DATA_FOLDER,
        help="folder for the official binary files (default: %(default)s)",
    )
    cifar10.add_argument(
        "--verify", action="store_true", help="only check the files, fetch nothing"
    )
    cifar10.set_defaults(call="data.call")
    imagenet.add_to(datasets)
