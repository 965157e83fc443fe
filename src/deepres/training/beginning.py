"""What the beginning of every run takes, whatever is trained."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from deepres.distributed import World
from deepres.errors import UserError
from deepres.provenance import provenance
from deepres.run_folder import RunFolder

SAVE_EVERY_S = 60.0


def check_save_every(seconds: float) -> None:
    """Make sure that a time between checkpoints can be meant.

    Raises:
        UserError: it is negative, or no number.
    """
    if not seconds >= 0:
        raise UserError(f"the time between checkpoints must be 0 s or more, got {seconds}")


def locked(folder: RunFolder, world: World) -> AbstractContextManager[None]:
    """Keep other runs out of ``folder``; only the leader does."""
    return folder.locked() if world.leader else nullcontext()


def run_provenance(device: torch.device, world: World) -> dict[str, Any]:
    """Return the versions, the hardware and the number of processes behind a run."""
    return {**provenance(device), "processes": world.size}


def note_resumption(
    meta: dict[str, Any], now: dict[str, Any], step: int, say: Callable[[str], None]
) -> None:
    """Add to a run's ``meta`` what has changed since it last began, and say it."""
    then = meta.get("resumed", [meta["provenance"]])[-1]
    if changed := [key for key in now if now[key] != then.get(key)]:
        words = "; ".join(f"{key} {then.get(key)} → {now[key]}" for key in changed)
        say(f"not as this run was before, so the bits may differ: {words}")
        meta["resumed"] = [*meta.get("resumed", []), {"step": step, **now}]


def say_nothing(line: str) -> None:
    """What the processes say that do not lead."""


def sharing_gradients(network: nn.Module, device: torch.device) -> DistributedDataParallel:
    """Wrap ``network`` so that a backward pass takes the mean gradient of all processes."""
    return DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        gradient_as_bucket_view=True,
    )
