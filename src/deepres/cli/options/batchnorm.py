"""What deepres batchnorm takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution
from deepres.cli.terminal import DATA_HELP


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "batchnorm", help="replace a run's moving BN averages by exact ones over training images"
    )
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="the folder of a finished run, or the name of one that comes with deepres",
    )
    parser.add_argument(
        "--images",
        type=int,
        metavar="N",
        default=10_000,
        help="augmented training images to average over, in whole batches (default: %(default)s)",
    )
    parser.add_argument("--data", metavar="FOLDER", help=DATA_HELP)
    add_execution(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the new weights (default: RUN/model.batchnorm.safetensors; of a run that comes with "
        "deepres in this folder)",
    )
    parser.set_defaults(call="batchnorm.call")
