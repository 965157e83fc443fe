"""Doing what a command line asks for, and saying in one line why not."""

import argparse
import os
import signal
import sys
import threading
import time
from importlib import import_module

import torch
import torch.distributed as dist

from deepres.cli.terminal import say
from deepres.distributed import leave_world
from deepres.errors import UserError
from deepres.runtime import use_threads
from deepres.training.interrupt import Interrupted
from deepres.visible import in_a_line

GOES_ON = {
    "train": "; a run goes on from its last checkpoint by --resume",
    "reproduce": "; the same command goes on from the last checkpoint",
}
"""How the work that a command was at is taken up again."""

ANOTHER_DIED = "another process of this run died"
SECONDS_BETWEEN_LOOKS, SECONDS_TO_SAVE = 1.0, 60.0
SECONDS_BEHIND = 2.0
"""By which a process ends later than the one whose death it met: torchrun blames the first."""


def run(options: argparse.Namespace) -> int:
    """Do what ``options`` ask for; return the exit status.

    Their ``call`` names a module of the command line and a function in it.
    """
    goes_on = GOES_ON.get(options.command, "")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        stop_without_parent()
    try:
        if (threads := getattr(options, "threads", None)) is not None:
            use_threads(threads)
        module, _, function = options.call.partition(".")
        status: int = getattr(import_module(f"deepres.cli.{module}"), function)(options)
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
    print(in_a_line(f"deepres: {who}{message}"), file=sys.stderr, flush=True)
