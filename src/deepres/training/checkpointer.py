"""When a run is saved and when it stops; which of its saved states it goes on from."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deepres.checkpoint import DamagedCheckpoint, load_checkpoint, previous_of, total_bytes
from deepres.errors import UserError
from deepres.files import writing
from deepres.run_folder import RunFolder
from deepres.training.interrupt import Interrupted, StopRequest
from deepres.training.state import RunState
from deepres.training.task import Task


class Checkpointer:
    """After each step, saves the run when it is time, and ends it when a signal asked for that.

    Of several processes all act as one, though a signal reaches them one by one.

    Args:
        state: what is saved.
        folder: where.
        stop: the request that signals make.
    """

    def __init__(self, state: RunState, folder: RunFolder, stop: StopRequest) -> None:
        self._state, self._folder, self._stop = state, folder, stop
        self._saved_at = time.monotonic()

    def __call__(self, last: bool) -> None:
        """Save if this step is the ``last`` or the time has come, or if a signal asked to stop.

        Raises:
            Interrupted: it did, and this is not the last step.
            Diverged: the state is not worth keeping.
        """
        task = self._state.task
        due = last or time.monotonic() - self._saved_at >= task.execution.save_every_s
        signal_number, save = task.execution.world.max(self._stop.signal_number, due)
        if signal_number or save:
            self._state.save(self._folder)
            self._saved_at = time.monotonic()
        if signal_number and not last:
            step, run = self._state.step, self._folder.path
            raise Interrupted(signal_number, step, run, command=task.command)


def latest_checkpoint(folder: RunFolder, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the latest checkpoint that is whole; None: the run ended before it saved anything.

    Raises:
        DamagedCheckpoint: there are checkpoints, and none is whole.
        UserError: there are none any more.
    """
    damaged: list[Path] = []
    previous = previous_of(folder.checkpoint)
    for path in (folder.checkpoint, previous):
        try:
            saved = load_checkpoint(path)
        except FileNotFoundError:
            continue
        except DamagedCheckpoint as damage:
            say(str(damage) if path == previous else f"{damage}; trying the one before")
            damaged.append(path)
            continue
        for each in damaged:  # else the next save would put it in the place of this one
            with writing(aside := each.with_name(f"{each.name}.damaged")):
                each.replace(aside)
        return as_it_is_saved_now(saved)
    if damaged:
        raise DamagedCheckpoint(
            f"no whole checkpoint is left in {folder.path}; start the run again in another folder"
        )
    if not folder.left():
        return None
    if folder.result.exists() and folder.weights.exists():
        raise UserError(
            f"{folder.path} is finished, but cannot go on without its {folder.checkpoint.name}; "
            "begin a new run from its weights, by --weights"
        )
    raise UserError(
        f"{folder.path} has no checkpoint to go on from; start the run again in another folder"
    )


def as_it_is_saved_now(saved: dict[str, Any]) -> dict[str, Any]:
    """Return what this or an earlier version has ``saved``, in the form of this one."""
    if "window" in saved:
        return saved
    if "losses" in saved:  # a detector's
        own = {key: saved[key] for key in ("phase", "proposer", "initial")}
        return {**saved, "window": saved["losses"].t().contiguous(), "task": own}
    keys = ("warming_up", "plateaus", "best_error_pct", "evaluations_since_best", "mean", "skipped")
    window = saved["outcomes"]
    return {
        **saved,
        "window": window,
        "noted": saved["step"] % len(window),
        "task": {key: saved[key] for key in keys},
    }


def check_space(runs: Sequence[tuple[RunFolder, Task[Any, Any]]]) -> None:
    """Make sure that the disk has room for what runs will write, before their first step.

    That is the checkpoint, the one before it, one that is being written, and the final weights.

    Args:
        runs: their folders, on one disk, and tasks; what a folder holds already is replaced.

    Raises:
        UserError: it has not.
    """
    needed = 0
    for folder, task in runs:
        weights = total_bytes(task.model.state_dict().values())
        momenta = total_bytes(task.model.parameters())
        needed += 3 * (weights + momenta + task.most_bytes_besides()) + weights
        replaced = (folder.checkpoint, previous_of(folder.checkpoint), folder.weights)
        needed -= sum(path.stat().st_size for path in replaced if path.exists())
    path = runs[0][0].path
    disk = next(each for each in (path, *path.absolute().parents) if each.exists())
    if (free := shutil.disk_usage(disk).free) < needed:
        raise UserError(
            f"{path} is on a disk with {free / 1e6:,.1f} MB free, but checkpoints and weights will "
            f"take {needed / 1e6:,.1f} MB more; free some space, or choose another folder by --out"
        )
