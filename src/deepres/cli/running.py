"""Doing what a command line asks for, and saying in one line why not."""

import argparse
import errno
import gc
import os
import signal
import sys
import threading
import time
from importlib import import_module
from types import ModuleType

from deepres.cli.terminal import say
from deepres.errors import DENIED, UserError
from deepres.torchrun import number_of_processes, started_by_torchrun
from deepres.training.interrupt import Interrupted
from deepres.visible import in_a_line

GOES_ON = {
    "train": "; a run goes on from its last checkpoint by --resume",
    "reproduce": "; the same command goes on from the last checkpoint",
}
"""How the work that a command was at is taken up again."""

TOO_LONG = "no file or folder can have so long a name; give one that is there, or a shorter one"
SECONDS_BETWEEN_LOOKS, SECONDS_TO_SAVE = 1.0, 60.0
SECONDS_BEHIND = 2.0
"""By which a process ends later than the one whose death it met: torchrun blames the first."""


def run(options: argparse.Namespace) -> int:
    """Do what ``options`` ask for; return the exit status.

    Their ``call`` names a module of the command line and a function in it.
    """
    goes_on = GOES_ON.get(options.command, "")
    if started_by_torchrun():
        stop_without_parent()
    try:
        if (threads := getattr(options, "threads", None)) is not None:
            from deepres.runtime import use_threads

            use_threads(threads)
        module, _, function = options.call.partition(".")
        status: int = getattr(import_quickly(f"deepres.cli.{module}"), function)(options)
    except UserError as error:
        if options.debug:
            raise
        complain(str(error))
        return error.exit_status
    except (RuntimeError, MemoryError) as error:
        from deepres.torch_errors import ANOTHER_DIED, MEMORY_FULL, in_words

        if options.debug or not (what := in_words(error)):
            raise
        detail = f" ({str(error).splitlines()[0]})" if str(error) else ""
        complain(f"{what}{detail}{'' if what == MEMORY_FULL else goes_on}")
        if what == MEMORY_FULL:
            return UserError.exit_status
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
        complain(_refused(error))
        return UserError.exit_status
    finally:
        if number_of_processes() > 1:
            from deepres.distributed import leave_world

            leave_world()
    return status


def _refused(error: OSError) -> str:
    """Say what the system refused, and what to do about it where that is known."""
    if error.errno == errno.ENAMETOOLONG:
        return f"{error.filename}: {TOO_LONG}"
    if isinstance(error, PermissionError) and error.filename:
        return f"{error.filename}: {error.strerror}; {DENIED}"
    return str(error)


def import_quickly(module: str) -> ModuleType:
    """Import what a command needs. Nothing of it is garbage, and looking takes 0.3 s of PyTorch."""
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.enable()
        gc.freeze()


def stop_without_parent() -> None:
    """Stop as by SIGTERM once torchrun is gone: killed itself, it ends none of its processes.

    A step that waits for a process that is gone, too, never ends; it gets some time, then no more.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_TO_SAVE)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def complain(message: str) -> None:
    """Print why the command ends, and which of several processes says so."""
    world = number_of_processes()
    who = f"process {os.environ.get('RANK', '?')} of {world}: " if world > 1 else ""
    print(in_a_line(f"deepres: {who}{message}"), file=sys.stderr, flush=True)
