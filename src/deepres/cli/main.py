"""The ``deepres`` command: parse, call, print."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

import torch
import torch.distributed as dist

from deepres.cli import (
    batchnorm,
    bench,
    compare,
    data,
    detect,
    evaluate,
    export_weights,
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
from deepres.cli.terminal import say, visible
from deepres.distributed import leave_world
from deepres.errors import UserError
from deepres.provenance import installed_version
from deepres.training.interrupt import Interrupted

GOES_ON = {
    "train": "; a run goes on from its last checkpoint by --resume",
    "reproduce": "; the same command goes on from the last checkpoint",
}
"""How the work that a command was at is taken up again."""

EPILOG = """exit status: 0 done; 1 another process, which this one needs, died; 2 a mistake in what
was asked, one line says which; 3 CIFAR-10 can be fetched from nowhere; 130, 143 or 129 stopped by
Ctrl-C, SIGTERM or SIGHUP (a run's state is saved)"""

ANOTHER_DIED = "another process of this run died"
SECONDS_BEHIND = 2.0
"""By which a process ends later than the one whose death it met: torchrun blames the first."""


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
        *(models, data, train, evaluate, predict, detect, localize, batchnorm, compare),
        *(reproduce, report, import_weights, export_weights, responses, signals, bench),
    ):
        command.add_to(commands)

    options = parser.parse_args(arguments)
    goes_on = GOES_ON.get(options.command, "")
    try:
        status: int = options.call(options)
    except UserError as error:
        if options.debug:
            raise
        complain(str(error))
        return error.exit_status
    except torch.OutOfMemoryError as error:
        if options.debug:
            raise
        complain(f"the device's memory is full ({str(error).splitlines()[0]})")
        return UserError.exit_status
    except RuntimeError as error:
        if options.debug or not (what := death_of_another(error)):
            raise
        complain(f"{what} ({str(error).splitlines()[0]}){goes_on}")
        if what == ANOTHER_DIED:
            time.sleep(SECONDS_BEHIND)
        return 1
    except Interrupted as stop:
        say(f"deepres: {stop}")
        return 128 + stop.signal_number
    except KeyboardInterrupt:
        print(f"deepres: interrupted at once{goes_on}", file=sys.stderr)
        return 130
    except OSError as error:
        if options.debug:
            raise
        complain(str(error))
        return UserError.exit_status
    finally:
        leave_world()
    return status


def death_of_another(error: RuntimeError) -> str:
    """Return what has died, if that is why PyTorch raised ``error``; else nothing."""
    if "DataLoader worker" in str(error):
        return "a process that decodes images died; if memory was short, take fewer --workers"
    if dist.is_initialized() and "connection" in str(error).lower():
        return ANOTHER_DIED
    return ""


def complain(message: str) -> None:
    """Print why the command ends, and which of several processes says so."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    who = f"process {os.environ.get('RANK', '?')} of {world}: " if world > 1 else ""
    print(visible(f"deepres: {who}{message}"), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
