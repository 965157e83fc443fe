"""What deepres reproduce takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution
from deepres.cli.terminal import DATA_HELP
from deepres.run_places import RUNS


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "reproduce", help="bring about a table or figure of the paper: train what it needs, draw it"
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="tables and figures, e.g. table6, figure1 or 'figure*' (see --list)",
    )
    parser.add_argument(
        "--list",
        action="store_const",
        dest="call",
        const="reproduce_list.call",
        default="reproduce.call",
        help="say what there is, what is missing, and how long that would take here",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="with --list: take a few steps of each network, in place of an estimate by its "
        "multiply-adds",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="shorten every run to so many steps")
    length.add_argument(
        "--scale", type=float, help="shorten every run to this share of its steps, e.g. 0.02"
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", default=1, help="runs of each network (default: 1)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="replace a field of every run's recipe, e.g. crop=56 for small images; may be given "
        "several times",
    )
    parser.add_argument("--data", metavar="FOLDER", help=DATA_HELP)
    parser.add_argument(
        "--runs",
        type=Path,
        metavar="FOLDER",
        default=RUNS,
        help="where runs lie (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        default=Path("reproduced"),
        help="for tables and figures (default: %(default)s)",
    )
    add_execution(parser)
