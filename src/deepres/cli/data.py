"""deepres data: fetch, unpack and check the data sets."""

import argparse
from pathlib import Path

from deepres.cli import Commands, imagenet
from deepres.cli.terminal import DATA_FOLDER, say
from deepres.data.cifar10 import verify_cifar10
from deepres.data.fetch import fetch_cifar10
from deepres.errors import UserError


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
    cifar10.set_defaults(call=call)
    imagenet.add_to(datasets)


def call(options: argparse.Namespace) -> int:
    """Fetch what is missing of CIFAR-10, or say what is wrong."""
    if options.verify:
        if problems := verify_cifar10(options.dir):
            for problem in problems:
                say(problem)
            raise UserError(
                f"{len(problems)} of 6 files are missing or damaged; "
                f"run: deepres data cifar10 --dir {options.dir}"
            )
    else:
        fetch_cifar10(options.dir, say)
    print(f"CIFAR-10 is complete in {options.dir}: 6 files, all with the official md5")
    return 0
