"""What every run takes to begin, be saved and be stopped, whatever is trained."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from deepres.checkpoint import previous_of
from deepres.distributed import World
from deepres.errors import UserError
from deepres.provenance import provenance
from deepres.run_folder import RunFolder
from deepres.runtime import derive_seed
from deepres.training.interrupt import Interrupted, StopRequest

SAVE_EVERY_S = 60.0


def check_save_every(seconds: float) -> None:
    """Make sure that a time between checkpoints can be meant.

    Raises:
        UserError: it is negative, or no number.
    """
    if not seconds >= 0:
        raise UserError(f"the time between checkpoints must be 0 s or more, got {seconds}")


def check_space(runs: Sequence[tuple[RunFolder, nn.Module]]) -> None:
    """Make sure that the disk has room for what runs will write, before their first step.

    That is the checkpoint, the one before it, one that is being written, and the final weights.

    Args:
        runs: their folders, on one disk, and networks; what a folder holds already is replaced.

    Raises:
        UserError: it has not.
    """
    needed = 0
    for folder, network in runs:
        weights = sum(tensor.nbytes for tensor in network.state_dict().values())
        momenta = sum(tensor.nbytes for tensor in network.parameters())
        needed += 3 * (weights + momenta) + weights
        replaced = (folder.checkpoint, previous_of(folder.checkpoint), folder.weights)
        needed -= sum(path.stat().st_size for path in replaced if path.exists())
    path = runs[0][0].path
    disk = next(each for each in (path, *path.absolute().parents) if each.exists())
    if (free := shutil.disk_usage(disk).free) < needed:
        raise UserError(
            f"{path} is on a disk with {free / 1e6:,.1f} MB free, but checkpoints and weights will "
            f"take {needed / 1e6:,.1f} MB more; free some space, or choose another folder by --out"
        )


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
    if changed := [key for key in now if now[key] != then.get(key, now[key])]:
        words = "; ".join(f"{key} {then[key]} → {now[key]}" for key in changed)
        say(f"not as this run was before, so the bits may differ: {words}")
        meta["resumed"] = [*meta.get("resumed", []), {"step": step, **now}]


@contextmanager
def initial_weights_of(seed: int) -> Iterator[None]:
    """Draw the initial weights of ``seed``, the same on any device, for what is built meanwhile.

    The caller's random state stays as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "initial weights"))
        yield


def say_nothing(line: str) -> None:
    """What the processes say that do not lead."""


def sharing_gradients(network: nn.Module, device: torch.device) -> DistributedDataParallel:
    """Wrap ``network`` so that a backward pass takes the mean gradient of all processes."""
    return DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        gradient_as_bucket_view=True,
    )


class Saved(Protocol):
    """A run between two steps."""

    step: int

    def save(self, folder: RunFolder) -> None:
        """Make this the run's checkpoint."""


class SaveAndStop:
    """After each step, saves the run when it is time, and ends it when a signal asked for that.

    Args:
        state: what is saved.
        folder: where.
        every_s: seconds between two saves.
        stop: the request that signals make.
        world: the processes, which act as one though a signal reaches them one by one.
        command: goes on with the run, with ``--resume``.
    """

    def __init__(
        self,
        state: Saved,
        folder: RunFolder,
        every_s: float,
        stop: StopRequest,
        world: World,
        command: str = "deepres train",
    ) -> None:
        self._state, self._folder, self._every_s = state, folder, every_s
        self._stop, self._world, self._command = stop, world, command
        self._saved_at = time.monotonic()

    def __call__(self, last: bool) -> None:
        """Save if this step is the ``last`` or the time has come, or if a signal asked to stop.

        Raises:
            Interrupted: it did, and this is not the last step.
            Diverged: the state is not worth keeping.
        """
        due = last or time.monotonic() - self._saved_at >= self._every_s
        signal_number, save = self._world.max(self._stop.signal_number, due)
        if signal_number or save:
            self._state.save(self._folder)
            self._saved_at = time.monotonic()
        if signal_number and not last:
            step, run = self._state.step, self._folder.path
            raise Interrupted(signal_number, step, run, command=self._command)
