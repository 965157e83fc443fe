"""What changes from step to step, and is saved."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepres.checkpoint import (
    DamagedCheckpoint,
    load_checkpoint,
    previous_of,
    save_checkpoint,
)
from deepres.errors import UserError
from deepres.run_folder import RunFolder


class Diverged(UserError):
    """The loss or a weight is no longer a finite number."""


class TrainingState:
    """A run between two steps.

    ``step`` counts the steps done, ``events`` the lines of metrics when it was saved, ``seconds``
    the training time, evaluation and saving left out. ``losses`` and ``errors`` hold the mean loss
    and the number of wrongly classified images of each step in the current log window, on the
    device, so that no step waits for the host.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.SGD, log_every: int, device: torch.device
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.step = 0
        self.warming_up = True
        self.events = 0
        self.seconds = 0.0
        self._counted_until = time.monotonic()
        self.losses = torch.zeros(log_every, device=device)
        self.errors = torch.zeros(log_every, device=device)

    def record(self, loss: Tensor, errors: Tensor) -> None:
        """Note the outcome of a step and count it."""
        place = self.step % len(self.losses)
        self.losses[place] = loss
        self.errors[place] = errors
        self.step += 1

    def count_time(self) -> None:
        """Add the time since the last call to the training time."""
        now = time.monotonic()
        self.seconds += now - self._counted_until
        self._counted_until = now

    def skip_time(self) -> None:
        """Leave the time since the last ``count_time`` out."""
        self._counted_until = time.monotonic()

    def window(self) -> tuple[float, float]:
        """Return the mean loss and mean errors per batch of the log window that ends here.

        Raises:
            Diverged: a loss in it is NaN or infinite; the step is named.
        """
        steps = (self.step - 1) % len(self.losses) + 1
        losses = self.losses[:steps].cpu()
        if not losses.isfinite().all():
            bad = int((~losses.isfinite()).nonzero()[0])
            raise Diverged(
                self._diverged(f"the loss is {losses[bad]}", self.step - steps + bad + 1)
            )
        return float(losses.mean()), float(self.errors[:steps].sum()) / steps

    def save(self, folder: RunFolder) -> None:
        """Make this the run's checkpoint.

        Raises:
            Diverged: it is not worth keeping: a loss or a weight is not finite.
        """
        self.window()
        self.count_time()
        weights = self.model.state_dict()
        finite = torch.stack([tensor.isfinite().all() for tensor in weights.values()])
        if not finite.all():
            name = list(weights)[int((~finite).nonzero()[0])]
            raise Diverged(self._diverged(f"{name} is not finite", self.step))
        save_checkpoint(
            folder.checkpoint,
            {
                "step": self.step,
                "events": folder.sync_events(),
                "warming_up": self.warming_up,
                "seconds": self.seconds,
                "losses": self.losses,
                "errors": self.errors,
                "model": weights,
                "optimizer": self.optimizer.state_dict(),
            },
        )
        self.skip_time()

    def load(self, state: dict[str, Any]) -> None:
        """Become the saved ``state``."""
        self.step = state["step"]
        self.events = state["events"]
        self.warming_up = state["warming_up"]
        self.seconds = state["seconds"]
        self.losses.copy_(state["losses"])
        self.errors.copy_(state["errors"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def load_latest(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        """Become the latest state that is whole; a run that was never saved stays at step 0.

        Raises:
            DamagedCheckpoint: there are checkpoints, and none is whole.
        """
        damaged: list[Path] = []
        for path in (folder.checkpoint, previous_of(folder.checkpoint)):
            try:
                self.load(load_checkpoint(path))
            except FileNotFoundError:
                continue
            except (KeyError, RuntimeError, ValueError) as error:
                raise UserError(f"{path} is not of this run and version: {error}") from error
            except DamagedCheckpoint as damage:
                say(f"{damage}; trying the one before")
                damaged.append(path)
                continue
            for each in damaged:  # else the next save would put it in the place of this one
                each.replace(each.with_name(f"{each.name}.damaged"))
            return
        if damaged:
            raise DamagedCheckpoint(
                f"no whole checkpoint is left in {folder.path}; "
                "delete its checkpoint files to start the run again from step 0"
            )

    def _diverged(self, what: str, step: int) -> str:
        return (
            f"training diverged: {what} after step {step}; the last good checkpoint is kept. "
            "Start a new run with a lower learning rate, --set lr=…"
        )
