"""What deepres evaluate takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_bad_images, add_execution, add_json
from deepres.cli.options.weights import WEIGHTS_HELP, add_source
from deepres.cli.terminal import DATA_HELP


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "evaluate", help="test a trained network, or several and their ensemble"
    )
    parser.add_argument(
        "subjects",
        type=Path,
        nargs="+",
        metavar="WEIGHTS",
        help=f"{WEIGHTS_HELP}; several: ensemble",
    )
    add_source(parser)
    parser.add_argument("--data", metavar="FOLDER", help=DATA_HELP)
    parser.add_argument(
        "--views",
        choices=["1-crop", "10-crop", "multi-scale"],
        default="1-crop",
        help="what the network sees of an image (§3.4): its centre (default), the 10 crops, or the "
        "whole image and its mirror image at five scales; the scores are averaged",
    )
    add_execution(parser)
    parser.add_argument(
        "--fold",
        action=argparse.BooleanOptionalAction,
        help="have convolutions do the BN after them and, on a CPU, sums and ReLU too; the same to "
        "rounding, but faster (default: on a CPU)",
    )
    parser.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        default="fp32",
        help="number format of convolutions and linear layers (default: %(default)s); auto: "
        "bf16 where the device has it, else fp32. A test in bf16 is not noted as a run's result",
    )
    add_bad_images(parser)
    parser.add_argument(
        "--save-scores", type=Path, metavar="FILE", help="write each image's scores as .npz"
    )
    parser.add_argument(
        "--save-submission",
        type=Path,
        metavar="FILE",
        help="write the five likeliest classes of each image as ILSVRC takes them",
    )
    add_json(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the confusion matrix, .png, .svg or .pdf (default: in the run's folder; of an "
        "ensemble none is drawn)",
    )
    parser.set_defaults(call="evaluate.call")
