"""What deepres signals takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution
from deepres.cli.terminal import DATA_HELP


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "signals", help="measure each layer's forward signal and backward gradient (§4.1)"
    )
    parser.add_argument(
        "subjects",
        nargs="+",
        metavar="NETWORK|RUN",
        help="networks at initialisation, e.g. plain56, or folders of finished runs",
    )
    parser.add_argument(
        "--images",
        type=int,
        metavar="N",
        help="images of a training batch (default: as many as the recipe takes)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="the seed of initial weights (default: 0)"
    )
    parser.add_argument("--data", metavar="FOLDER", help=DATA_HELP)
    add_execution(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where to write signals-<run>.json or signals-<network>-s<seed>.json (default: "
        "signals.json in a run's folder, runs/ for a network at initialisation)",
    )
    parser.set_defaults(call="signals.call")
