"""The ``deepres`` command: parse, call, print."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from deepres.cli import data, evaluate, models, predict, train
from deepres.errors import UserError
from deepres.training.interrupt import Interrupted

USER_ERROR = 2
EPILOG = """exit status: 0 done; 2 a mistake in what was asked, one line says which;
130 or 143 stopped by Ctrl-C or SIGTERM (a training run's state is saved)"""


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, with the way to the manual."""

    def error(self, message: str) -> NoReturn:
        """Print ``message`` and exit."""
        self.exit(USER_ERROR, f"deepres: {message}; see: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = Parser(
        prog="deepres",
        description="The networks, training and results of the ResNet paper (He et al. 2015).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (models, data, train, evaluate, predict):
        command.add_to(commands)

    options = parser.parse_args(arguments)
    try:
        status: int = options.call(options)
    except UserError as error:
        if options.debug:
            raise
        print(f"deepres: {error}", file=sys.stderr)
        return USER_ERROR
    except Interrupted as stop:
        print(f"\ndeepres: {stop}", file=sys.stderr)
        return 128 + stop.signal_number
    except KeyboardInterrupt:
        print("\ndeepres: interrupted", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
