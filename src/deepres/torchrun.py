"""What torchrun tells each of the processes that it starts, by their environment."""

import os

from deepres.errors import UserError

SET_BY_TORCHRUN = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def started_by_torchrun() -> bool:
    """Return whether there is a torchrun that watches over this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def number_of_processes() -> int:
    """Return how many processes work together; 1: this one is alone."""
    return _number("WORLD_SIZE", 1)


def is_leader() -> bool:
    """Return whether this process speaks for those that torchrun started, or is alone.

    A cluster may set RANK for purposes of its own; without WORLD_SIZE it says nothing.
    """
    return number_of_processes() == 1 or _number("RANK", 0) == 0


def check_environment() -> None:
    """Check that several processes know of each other.

    Raises:
        UserError: they do not.
    """
    size = number_of_processes()
    if size > 1 and (missing := [name for name in SET_BY_TORCHRUN if name not in os.environ]):
        raise UserError(
            f"WORLD_SIZE is {size}, but {missing[0]} is not set; start several processes by "
            "torchrun, or unset WORLD_SIZE"
        )


def _number(name: str, otherwise: int) -> int:
    """Return the number that the environment has as ``name``; ``otherwise``, if it has none."""
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else otherwise
