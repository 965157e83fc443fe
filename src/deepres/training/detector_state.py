"""What changes from step to step of a detector's training, and is saved."""

from typing import Any

import torch
from torch import Tensor, nn

from deepres.checkpoint import save_checkpoint
from deepres.detection.faster_rcnn import Detector
from deepres.distributed import World
from deepres.errors import UserError
from deepres.recipes import DetectionRecipe
from deepres.run_folder import RunFolder
from deepres.training.alternating import (
    LOSSES,
    SCHEDULES,
    Phase,
    PhaseLosses,
    begun_afresh,
    frozen_proposer,
)
from deepres.training.beginning import sharing_gradients
from deepres.training.optim import detector_optimizer, load_optimizer
from deepres.training.state import Clock, check_finite, check_same_run, diverged


class DetectorState(Clock):
    """A run between two steps.

    ``step`` counts the steps done, ``events`` the lines of metrics when it was saved. ``losses``
    holds each of ``LOSSES`` for the ``noted`` steps of the current log window, of this process's
    share of the batch, on the device, so that no step waits for the host. ``initial`` has the
    tensors that later phases will begin afresh from.
    """

    phase: Phase
    proposer: Detector | None
    """What makes the proposals, where the phase does not train them."""
    network: nn.Module
    """Maps a batch to the losses, and shares its gradients with the other processes."""
    optimizer: torch.optim.SGD

    def __init__(
        self,
        detector: Detector,
        recipe: DetectionRecipe,
        device: torch.device,
        world: World,
        run: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.run = run or {}
        """What the run is, by ``identity``."""
        self.detector, self.recipe, self.world = detector, recipe, world
        self._device = device
        self.step = self.events = self.noted = 0
        self.losses = torch.zeros(len(LOSSES), recipe.log_every, device=device)
        self.initial = {
            name: tensor.clone()
            for name, tensor in begun_afresh(detector.state_dict(), self._phases).items()
        }
        self.begin_phase(0)

    @property
    def _phases(self) -> tuple[Phase, ...]:
        return SCHEDULES[self.recipe.schedule]

    def begin_phase(self, number: int) -> None:
        """Make ready what the phase with this number trains, and the proposals that it takes."""
        self.number, self.phase = number, self._phases[number]
        # Each process has BN statistics of its own; what the phase keeps fixed is one detector.
        self.world.broadcast_(self.detector.buffers())
        # The proposals are those of the phase before: their network is put aside first.
        self.proposer = frozen_proposer(self.detector) if self.phase.takes_proposals else None
        own = self.detector.state_dict()
        for name, tensor in begun_afresh(self.initial, [self.phase]).items():
            own[name].copy_(tensor)
        self.initial = begun_afresh(self.initial, self._phases[number + 1 :])
        losses = PhaseLosses(self.detector, self.phase)
        self.network = sharing_gradients(losses, self._device) if self.world.size > 1 else losses
        first = self.recipe.steps_of_phase(number).start
        self.optimizer = detector_optimizer(self.detector, self.recipe, first)

    def record(self, losses: dict[str, Tensor]) -> None:
        """Note the losses of a step and count it."""
        for name, loss in losses.items():
            self.losses[LOSSES.index(name), self.noted] = loss.detach()
        self.noted += 1
        self.step += 1

    def window(self) -> dict[str, float]:
        """Return the mean of each loss, and of their sum, ``loss``, over the current log window.

        Raises:
            Diverged: a loss in it is NaN or infinite; the step is named.
        """
        losses = self._shared_losses()[:, : self.noted]
        finite = losses.isfinite().all(0)
        if not finite.all():
            bad = int((~finite).nonzero()[0])
            raise diverged(f"the loss is {losses[:, bad].sum()}", self.step - self.noted + bad + 1)
        means = dict(zip(LOSSES, losses.mean(1).tolist(), strict=True))
        parts = {name: means[name] for name in self.phase.losses(self.recipe.detector.masks)}
        return {"loss": sum(parts.values()), **parts}

    def end_window(self) -> dict[str, float]:
        """Return what ``window`` does, and begin the next one."""
        means = self.window()
        self.noted = 0
        return means

    def check_finite(self) -> None:
        """Make sure that the losses since the last log, and all weights, are numbers.

        Raises:
            Diverged: one is NaN or infinite.
        """
        if self.noted:
            self.window()
        check_finite(self.detector.state_dict(), self.step)

    def _shared_losses(self) -> Tensor:
        """Return the means over all processes of ``losses``."""
        return self.world.sum(self.losses.cpu().clone()) / self.world.size

    def save(self, folder: RunFolder) -> None:
        """Make this the run's checkpoint; only the leader writes.

        Raises:
            Diverged: it is not worth keeping: a loss or a weight is not finite.
        """
        self.check_finite()
        losses = self._shared_losses()
        if not self.world.leader:
            return
        self.count_time()
        weights = self.detector.state_dict()
        events, digest = folder.sync_events()
        save_checkpoint(
            folder.checkpoint,
            {
                "run": self.run,
                "step": self.step,
                "phase": self.number,
                "events": events,
                "events_sha256": digest,
                "seconds": self.seconds,
                "noted": self.noted,
                "losses": losses,
                "model": weights,
                "proposer": self.proposer.state_dict() if self.proposer else {},
                "initial": self.initial,
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
            self.begin_phase(state["phase"])
            self.step = state["step"]
            self.events = state["events"]
            self.seconds = state["seconds"]
            self.noted = state["noted"]
            self.losses.copy_(state["losses"])
            self.detector.load_state_dict(state["model"])
            if self.proposer:
                self.proposer.load_state_dict(state["proposer"])
            self.initial = {
                name: tensor.to(self._device) for name, tensor in state["initial"].items()
            }
            load_optimizer(self.optimizer, state["optimizer"])
        except (KeyError, RuntimeError, ValueError, IndexError) as error:
            raise UserError(
                f"{folder.checkpoint} is not of this run and version: {error}"
            ) from error
