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
    cifar10.set_defaults(call="data.call")
    commands = cifar10.add_subparsers(metavar="[COMMAND]")
    verify = commands.add_parser("verify", help="check the files, and fetch nothing")
    verify.set_defaults(call="data.call_verify")
    # Before verify or after it: what is given is not replaced by the default of the other.
    for command, default in ((cifar10, DATA_FOLDER), (verify, argparse.SUPPRESS)):
        command.add_argument(
            "--data",
            type=Path,
            metavar="FOLDER",
            default=default,
            help=f"the folder with the official binary files (default: {DATA_FOLDER})",
        )
    imagenet.add_to(datasets)
