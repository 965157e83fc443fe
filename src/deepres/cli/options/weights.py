"""How the commands are told which weights to take."""

import argparse

WEIGHTS_HELP = (
    "a run's folder, a .safetensors file, a network's name (e.g. resnet20), or hf:owner/name"
)
NAMED_HELP = f"{WEIGHTS_HELP}; deepres, msra or torchvision: theirs of this network"
SOURCES = ("deepres", "msra", "torchvision")


def add_source(parser: argparse.ArgumentParser) -> None:
    """Declare whose weights a network's name stands for."""
    parser.add_argument(
        "--weights",
        dest="source",
        choices=SOURCES,
        help="whose weights a network's name stands for: those that come with deepres, the "
        "authors' own (MSRA), or torchvision's (default: the first of these that has any); they "
        "are fetched at first use",
    )
