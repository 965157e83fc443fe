"""What changes from step to step, and is saved."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from deepres.checkpoint import (
    DamagedCheckpoint,
    load_checkpoint,
    previous_of,
    save_checkpoint,
)
from deepres.distributed import ALONE, World
from deepres.errors import UserError
from deepres.recipes.schema import Recipe
from deepres.run_folder import RunFolder
from deepres.training.optim import load_optimizer

CHANGED_BY_RESUMING = ("steps", "bad_images")


class Diverged(UserError):
    """The loss or a weight is no longer a finite number."""


def identity(recipe: Recipe, seed: int) -> dict[str, Any]:
    """Return what a run is, to tell it from others: all but what ``--resume`` may change."""
    fields = recipe.to_dict()
    return {key: fields[key] for key in fields if key not in CHANGED_BY_RESUMING} | {"seed": seed}


def check_same_run(state: dict[str, Any], now: dict[str, Any], folder: RunFolder) -> None:
    """Make sure that ``state`` and the events up to it are of the run that ``folder`` says.

    Args:
        state: as it was saved in the folder; of before it said so, it is taken for the run's.
        now: the run's identity.
        folder: the run's.

    Raises:
        UserError: they are not; the fields that differ are named.
    """
    then = state.get("run", {})
    if differ := [key for key in now if now[key] != then.get(key, now[key])]:
        words = ", ".join(f"{key} {now[key]} (saved: {then[key]})" for key in differ)
        raise UserError(
            f"{folder.checkpoint} is of another run than {folder.recipe} says: {words}; restore "
            "the one that is wrong, or start a new run in another folder"
        )
    folder.check_events(state["events"], state.get("events_sha256"))


class Clock:
    """Training time: ``seconds`` so far, evaluation and saving left out."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._counted_until = time.monotonic()

    def count_time(self) -> None:
        """Add the time since the last call to the training time."""
        now = time.monotonic()
        self.seconds += now - self._counted_until
        self._counted_until = now

    def skip_time(self) -> None:
        """Leave the time since the last ``count_time`` out."""
        self._counted_until = time.monotonic()


class Trained(Protocol):
    """A network with the input preparation that belongs to its weights."""

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    @property
    def mean(self) -> Tensor:
        """What is subtracted from its input."""


class TrainingState(Clock):
    """A run between two steps.

    ``step`` counts the steps done, ``events`` the lines of metrics when it was saved. ``outcomes``
    holds the mean loss and the share of wrongly classified images of each step in the current log
    window, of this process's share of the batch, on the device, so that no step waits for the host.
    """

    def __init__(
        self,
        model: Trained,
        optimizer: torch.optim.SGD,
        log_every: int,
        device: torch.device,
        world: World = ALONE,
        run: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.run = run or {}
        """What the run is, by ``identity``."""
        self.optimizer = optimizer
        self.world = world
        self.step = 0
        self.warming_up = True
        self.plateaus = 0
        """How often the learning rate was dropped because the error stood still."""
        self.best_error_pct = math.inf
        self.evaluations_since_best = 0
        self.skipped = 0
        """How many images of this process were left out since the last log."""
        self.events = 0
        self.outcomes = torch.zeros(log_every, 2, device=device)

    def record(self, outcome: Tensor) -> None:
        """Note the outcome of a step, its loss and errors (2,), and count it."""
        self.outcomes[self.step % len(self.outcomes)].copy_(outcome)
        self.step += 1

    def note_plateau(self, error_pct: float, patience: int | None) -> None:
        """Drop the learning rate if ``patience`` evaluations in a row brought no lower error."""
        self.evaluations_since_best += 1
        if error_pct < self.best_error_pct:
            self.best_error_pct, self.evaluations_since_best = error_pct, 0
        elif self.evaluations_since_best == patience:
            self.plateaus, self.evaluations_since_best = self.plateaus + 1, 0

    def window(self) -> tuple[float, float]:
        """Return the mean loss and the error in per cent of the log window that ends here.

        Raises:
            Diverged: a loss in it is NaN or infinite; the step is named.
        """
        steps = (self.step - 1) % len(self.outcomes) + 1
        losses, errors = self._shared_window()[:steps].unbind(1)
        if not losses.isfinite().all():
            bad = int((~losses.isfinite()).nonzero()[0])
            raise diverged(f"the loss is {losses[bad]}", self.step - steps + bad + 1)
        return float(losses.mean()), 100 * float(errors.mean())

    def skipped_by_all(self) -> int:
        """Return how many images all processes together left out since the last log."""
        return int(self.world.sum(torch.tensor(self.skipped)))

    def _shared_window(self) -> Tensor:
        """Return the means over all processes of ``outcomes``, (log_every, 2)."""
        return self.world.sum(self.outcomes.cpu().clone()) / self.world.size

    def save(self, folder: RunFolder) -> None:
        """Make this the run's checkpoint; only the leader writes.

        Raises:
            Diverged: it is not worth keeping: a loss or a weight is not finite.
        """
        outcomes = self._shared_window()
        self.window()
        skipped = self.skipped_by_all()
        if not self.world.leader:
            return
        self.count_time()
        weights = self.model.network.state_dict()
        check_finite(weights, self.step)
        events, digest = folder.sync_events()
        save_checkpoint(
            folder.checkpoint,
            {
                "run": self.run,
                "step": self.step,
                "events": events,
                "events_sha256": digest,
                "warming_up": self.warming_up,
                "plateaus": self.plateaus,
                "best_error_pct": self.best_error_pct,
                "evaluations_since_best": self.evaluations_since_best,
                "mean": self.model.mean,
                "skipped": skipped,
                "seconds": self.seconds,
                "outcomes": outcomes,
                "model": weights,
                "optimizer": self.optimizer.state_dict(),
            },
        )
        self.skip_time()

    def load(self, state: dict[str, Any], folder: RunFolder) -> None:
        """Become the ``state`` that was saved in ``folder``.

        Raises:
            UserError: it is of another run or version.
        """
        try:
            check_same_run(state, self.run, folder)
            self.step = state["step"]
            self.events = state["events"]
            self.warming_up = state["warming_up"]
            self.plateaus = state["plateaus"]
            self.best_error_pct = state["best_error_pct"]
            self.evaluations_since_best = state["evaluations_since_best"]
            self.skipped = state["skipped"] if self.world.leader else 0
            self.seconds = state["seconds"]
            self.outcomes.copy_(state["outcomes"])
            self.model.network.load_state_dict(state["model"])
            load_optimizer(self.optimizer, state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{folder.checkpoint} is not of this run and version: {error}"
            ) from error


def diverged(what: str, step: int) -> Diverged:
    """Return the error for what is no longer finite after ``step``."""
    return Diverged(
        f"training diverged: {what} after step {step}; the last good checkpoint is kept. "
        "Start a new run with a lower learning rate, --set lr=…"
    )


def check_finite(weights: dict[str, Tensor], step: int) -> None:
    """Make sure that all numbers in ``weights`` are finite after ``step``.

    Raises:
        Diverged: one is not; its tensor is named.
    """
    finite = torch.stack([tensor.isfinite().all() for tensor in weights.values()])
    if not finite.all():
        name = list(weights)[int((~finite).nonzero()[0])]
        raise diverged(f"{name} is not finite", step)


def latest_state(folder: RunFolder, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the latest saved state that is whole; None for a run that was never saved.

    Raises:
        DamagedCheckpoint: there are checkpoints, and none is whole.
    """
    damaged: list[Path] = []
    for path in (folder.checkpoint, previous_of(folder.checkpoint)):
        try:
            state = load_checkpoint(path)
        except FileNotFoundError:
            continue
        except DamagedCheckpoint as damage:
            say(f"{damage}; trying the one before")
            damaged.append(path)
            continue
        for each in damaged:  # else the next save would put it in the place of this one
            each.replace(each.with_name(f"{each.name}.damaged"))
        return state
    if damaged:
        raise DamagedCheckpoint(
            f"no whole checkpoint is left in {folder.path}; "
            "delete its checkpoint files to start the run again from step 0"
        )
    return None
