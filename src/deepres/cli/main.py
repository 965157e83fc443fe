"""The ``deepres`` command: parse, call, print."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from deepres.cli.options import (
    batchnorm,
    bench,
    compare,
    data,
    detect,
    evaluate,
    explain,
    export_weights,
    features,
    import_weights,
    localize,
    models,
    predict,
    report,
    reproduce,
    responses,
    signals,
    train,
)
from deepres.errors import UserError
from deepres.provenance import installed_version

EPILOG = """exit status: 0 done; 1 another process, which this one needs, died; 2 a mistake in what
was asked, one line says which; 3 CIFAR-10 can be fetched from nowhere; 130, 143 or 129 stopped by
Ctrl-C, SIGTERM or SIGHUP (a run's state is saved)"""


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, with the way to the manual."""

    def error(self, message: str) -> NoReturn:
        """Print ``message`` and exit."""
        self.exit(UserError.exit_status, f"deepres: {message}; see: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = Parser(
        prog="deepres",
        description="The networks, training and results of the ResNet paper (He et al. 2015).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"deepres {installed_version()}"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in (
        *(models, data, train, evaluate, predict, explain, features, detect, localize, batchnorm),
        *(compare, reproduce, report, import_weights, export_weights, responses, signals, bench),
    ):
        command.add_to(commands)

    options = parser.parse_args(arguments)
    from deepres.cli.running import run  # PyTorch takes a second: --help and mistakes need not wait

    return run(options)


if __name__ == "__main__":
    sys.exit(main())
