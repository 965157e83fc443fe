"""What deepres models takes."""

import argparse

from deepres.cli import Commands
from deepres.cli.options.common import add_json


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("models", help="list the networks, or show one stage by stage")
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NETWORK",
        help="a network, e.g. resnet34, or a pattern, e.g. 'resnet*'",
    )
    parser.add_argument(
        "--input-size",
        type=int,
        metavar="PIXELS",
        help="side of the input image (default: 224 for ImageNet networks, 32 for CIFAR-10)",
    )
    add_json(parser)
    parser.set_defaults(call="models.call")
