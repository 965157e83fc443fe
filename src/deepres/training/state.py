"""A run between two steps: what it has done, what is logged next, and what is saved."""

from typing import Any

import torch
from torch import Tensor

from deepres.checkpoint import save_checkpoint
from deepres.errors import UserError
from deepres.recipes import Recipe
from deepres.renamed import fields_of_today
from deepres.run_folder import RunFolder
from deepres.torch_errors import is_of_memory
from deepres.training.clock import Clock
from deepres.training.optim import load_optimizer
from deepres.training.task import Task

CHANGED_BY_RESUMING = ("steps", "bad_images")


class Diverged(UserError):
    """The loss or a weight is no longer a finite number."""


class RunState:
    """What changes from step to step.

    ``step`` counts the steps done, ``seconds`` the time that they took. Tests and saving stop the
    ``clock`` that measures it, which runs at once share.

    ``window`` holds what the ``noted`` steps of the open log window returned, each of this
    process's share of its batch. It is on the device, so that no step waits for the host.
    """

    def __init__(self, task: Task[Any, Any], clock: Clock) -> None:
        self.task, self.clock, self.world = task, clock, task.execution.world
        self.step = self.noted = 0
        self.window = torch.zeros(
            task.recipe.log_every, len(task.measures), device=task.execution.device
        )
        self._saved_means = torch.zeros(0, len(task.measures))
        """Those of the open window's first steps, as saved, of a run that goes on."""
        self.seconds = 0.0
        self._counted_until: float | None = None
        self._images, self._logged_seconds = 0, 0.0

    def record(self, outcome: Tensor) -> None:
        """Note what a step returned, and count it."""
        self.window[self.noted].copy_(outcome)
        self.noted += 1
        self.step += 1
        self._images += self.task.batch_size

    def means(self) -> Tensor:
        """Return the log window's steps, (noted, measures), each the mean over all processes.

        Raises:
            Diverged: one is NaN or infinite; the step is named.
        """
        window = (self.world.sum(self.window.cpu().clone()) / self.world.size)[: self.noted]
        window[: len(self._saved_means)] = self._saved_means  # 3x / 3 is not always x
        finite = window.isfinite()
        if not finite.all():
            bad = int((~finite.all(1)).nonzero()[0])
            loss = window[bad][~finite[bad]][0]
            raise _diverged(f"the loss is {loss}", self.step - self.noted + bad + 1)
        return window

    def end_window(self) -> None:
        """Begin the next log window, if one of the schedule's is complete."""
        if self.step % self.task.recipe.log_every == 0 or self.task.ends_phase(self.step):
            self.noted = 0
            self._saved_means = self._saved_means[:0]

    def take_images_per_s(self) -> float:
        """Return how fast training was since this was last asked."""
        self.count_time()
        speed = self._images / (self.seconds - self._logged_seconds)
        self._images, self._logged_seconds = 0, self.seconds
        return speed

    def start_time(self) -> None:
        """Have the training time begin, or go on, here."""
        self._counted_until = self.clock.now()

    def count_time(self) -> None:
        """Add the time since the last call to the training time, once that has begun."""
        if self._counted_until is not None:
            now = self.clock.now()
            self.seconds += now - self._counted_until
            self._counted_until = now

    def check_finite(self) -> Tensor:
        """Check that all losses since the last log, and all weights, are finite; return ``means``.

        Raises:
            Diverged: one is NaN or infinite; its step or tensor is named.
        """
        means = self.means()
        weights = self.task.model.state_dict()
        finite = torch.stack([tensor.isfinite().all() for tensor in weights.values()])
        if not finite.all():
            name = list(weights)[int((~finite).nonzero()[0])]
            raise _diverged(f"{name} is not finite", self.step)
        return means

    def save(self, folder: RunFolder) -> None:
        """Make this the run's checkpoint; only the leader writes.

        Raises:
            Diverged: it is not worth keeping: a loss or a weight is not finite.
        """
        window = torch.zeros_like(self.window, device="cpu")
        window[: self.noted] = self.check_finite()
        self.count_time()
        with self.clock.stopped():
            self._write(folder, window)

    def _write(self, folder: RunFolder, window: Tensor) -> None:
        of_task = self.task.state_dict()
        if self.world.leader:
            events, digest = folder.sync_events()
            save_checkpoint(
                folder.checkpoint,
                {
                    "run": identity(self.task.recipe, self.task.seed),
                    "step": self.step,
                    "events": events,
                    "events_sha256": digest,
                    "seconds": self.seconds,
                    "noted": self.noted,
                    "window": window,
                    "task": of_task,
                    "model": self.task.model.state_dict(),
                    "optimizer": self.task.optimizer.state_dict(),
                },
            )

    def load(self, saved: dict[str, Any], folder: RunFolder) -> None:
        """Become what was ``saved`` in ``folder``.

        Raises:
            UserError: it is of another run or version.
        """
        try:
            _check_same_run(saved, identity(self.task.recipe, self.task.seed), folder)
            self.step = saved["step"]
            self.seconds = self._logged_seconds = saved["seconds"]
            self.noted = saved["noted"]
            self.window.copy_(saved["window"])
            self._saved_means = saved["window"][: self.noted].clone()
            self.task.load_state_dict(saved["task"])
            self.task.model.load_state_dict(saved["model"])
            load_optimizer(self.task.optimizer, saved["optimizer"])
        except (KeyError, RuntimeError, ValueError, IndexError) as error:
            if is_of_memory(error):  # it says nothing about the checkpoint
                raise
            raise UserError(
                f"{folder.checkpoint} is not of this run and version: {error}"
            ) from error


def identity(recipe: Recipe, seed: int) -> dict[str, Any]:
    """Return what a run is, to tell it from others: all but what ``--resume`` may change."""
    fields = recipe.to_dict()
    return {key: fields[key] for key in fields if key not in CHANGED_BY_RESUMING} | {"seed": seed}


def _check_same_run(saved: dict[str, Any], now: dict[str, Any], folder: RunFolder) -> None:
    """Make sure that what was ``saved``, and the events up to it, are of the run in ``folder``.

    Checkpoints of versions that did not store the run are accepted.

    Raises:
        UserError: they are not; the fields that differ are named.
    """
    then = fields_of_today(saved.get("run", {}))
    if differ := [key for key in now if now[key] != then.get(key, now[key])]:
        words = ", ".join(f"{key} {now[key]} (saved: {then[key]})" for key in differ)
        raise UserError(
            f"{folder.checkpoint} is of another run than {folder.recipe} says: {words}; restore "
            "the one that is wrong, or start a new run in another folder"
        )
    folder.check_events(saved["events"], saved.get("events_sha256"))


def _diverged(what: str, step: int) -> Diverged:
    return Diverged(
        f"training diverged: {what} after step {step}; the last good checkpoint is kept. "
        "Start a new run with a lower learning rate, --set lr=…"
    )
