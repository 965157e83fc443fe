"""What deepres report takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_x_axis


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "report", help="judge the paper's claims on the runs so far, and show every run, on a page"
    )
    parser.add_argument(
        "--runs",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="folder that holds run folders; may be given several times (default: "
        "runs, and the results that come with deepres)",
    )
    parser.add_argument(
        "--benchmarks",
        type=Path,
        metavar="FOLDER",
        help="folder with results of benchmarks (default: benchmarks/results, if it is there)",
    )
    add_x_axis(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: report.html)")
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    parser.set_defaults(call="report.call")
