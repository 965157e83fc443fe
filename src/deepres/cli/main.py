"""The ``deepres`` command: parse, call, print."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

import torch

from deepres.cli import data, evaluate, export_weights, import_weights, models, predict, train
from deepres.errors import UserError
from deepres.training.interrupt import Interrupted

EPILOG = """exit status: 0 done; 2 a mistake in what was asked, one line says which; 3 CIFAR-10
can be fetched from nowhere; 130 or 143 stopped by Ctrl-C or SIGTERM (a run's state is saved)"""


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
    parser.add_argument("--version", action="version", version=f"deepres {version('deepres')}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (models, data, train, evaluate, predict, import_weights, export_weights):
        command.add_to(commands)

    options = parser.parse_args(arguments)
    try:
        status: int = options.call(options)
    except UserError as error:
        if options.debug:
            raise
        print(f"deepres: {error}", file=sys.stderr)
        return error.exit_status
    except torch.OutOfMemoryError as error:
        if options.debug:
            raise
        print(f"deepres: the device's memory is full ({error})".splitlines()[0], file=sys.stderr)
        return UserError.exit_status
    except Interrupted as stop:
        print(f"deepres: {stop}", file=sys.stderr)
        return 128 + stop.signal_number
    except KeyboardInterrupt:
        print(
            "deepres: interrupted at once; a run goes on from its last checkpoint by --resume",
            file=sys.stderr,
        )
        return 130
    except OSError as error:
        if options.debug:
            raise
        print(f"deepres: {error}", file=sys.stderr)
        return UserError.exit_status
    return status


if __name__ == "__main__":
    sys.exit(main())
