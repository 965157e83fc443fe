"""A run goes on with the data that it began with, and all of its processes see the same."""

from pathlib import Path
from typing import Any

from deepres.distributed import World
from deepres.errors import UserError


def check_same_data(run: Path, meta: dict[str, Any], found: dict[str, Any]) -> None:
    """Make sure that the data are those that a run began with.

    Args:
        run: its folder or its recipe.json, to name it.
        meta: what its recipe.json says.
        found: what its kind of ``Task`` says of the data that there are now.

    Raises:
        UserError: they are others.
    """
    for part, now in found.items():
        then = meta.get(part)
        if (then and then["fingerprint"]) != (now and now["fingerprint"]):
            was, there = (
                each and f"{each['source']} ({each['fingerprint']})" for each in (then, now)
            )
            raise UserError(
                f"{run} began with {was or 'no test set'}, but this is "
                f"{there or 'none'}; give the same data by --data, or begin anew in another folder"
            )


def check_same_everywhere(described: dict[str, Any], world: World) -> None:
    """Make sure that all processes see the same data: on several machines they may not.

    Args:
        described: what a kind of ``Task`` says of this process's.
        world: the processes.

    Raises:
        UserError: they do not; it is raised in all of them.
    """
    mine = {part: data and data["fingerprint"] for part, data in described.items()}
    leaders, *others = world.gather(mine)
    for rank, there in enumerate(others, start=1):
        for part, fingerprint in there.items():
            if fingerprint != leaders[part]:
                raise UserError(
                    f"process {rank} sees other {part.replace('_', ' ')} ({fingerprint}) than "
                    f"process 0 ({leaders[part]}); each machine needs the same under --data"
                )
