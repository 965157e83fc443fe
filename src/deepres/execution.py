"""Where and how work is done: one object, made once and handed down."""

import dataclasses
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import torch

from deepres.distributed import ALONE, World, join_world
from deepres.errors import UserError, whole_number
from deepres.progress import Progress
from deepres.provenance import provenance
from deepres.runtime import keep_freed_memory, make_repeatable, usable_cores


class ShowProgress(Protocol):
    """Makes a bar."""

    def __call__(self, label: str, total: int, start: int = 0) -> Progress:
        """Make it for ``total`` units of work, of which ``start`` are done."""


OpenLog = Callable[[Path], AbstractContextManager[Callable[[dict[str, Any]], None]]]
"""Opens what takes the events of the run in a folder, one by one."""


def say_nothing(line: str) -> None:
    """Say nothing, as the processes do that do not lead."""


hidden = partial(Progress, shown=False)
"""Makes a bar that does not show."""


@dataclass(frozen=True)
class Execution:
    """Where and how work is done.

    Device, workers and the ways to be fast change results by rounding alone; how many processes
    share a batch also decides how many images BN sees at once.
    """

    device: torch.device
    world: World = ALONE
    """The processes that share the work, and which of them this is."""
    workers: int | None = None
    """How many processes decode image files; None: one a core, up to 8."""
    say: Callable[[str], None] = print
    """Receives lines for the user."""
    progress: ShowProgress = Progress
    log: OpenLog | None = None
    """What is told a run's events besides metrics.jsonl; none by default."""
    save_every_s: float = 60.0
    """Seconds between a run's checkpoints; a kill loses no more than that and an evaluation."""
    fused_kernels: bool = True
    """Whether a training step has fused kernels, and on CUDA is one graph; else it is PyTorch's own
    operations, one by one."""
    fused_convolutions: bool = True
    """On CUDA, in bf16, whether §4.2's networks take one kernel a layer, of convolution and BN."""
    recompute: bool = False
    """Whether blocks are computed again in the backward pass, to save memory."""

    def __post_init__(self) -> None:
        if self.workers is not None and whole_number(self.workers, "the number of workers") < 0:
            raise UserError(f"the number of workers must be 0 or more, got {self.workers}")
        if not (isinstance(self.save_every_s, int | float) and self.save_every_s >= 0):
            raise UserError(
                f"the time between checkpoints must be 0 s or more, got {self.save_every_s!r}"
            )

    @classmethod
    def on(cls, device: str = "auto", **settings: Any) -> Self:
        """Join the processes that torchrun started, and make this one ready for work.

        PyTorch is made deterministic in this process, and glibc to keep freed memory. Of several
        processes only the leader speaks and shows progress.

        Args:
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            settings: the other fields.

        Raises:
            UserError: there is no such device, or a setting cannot be meant.
        """
        world, target = join_world(device)
        made = cls(target, world, **settings)
        keep_freed_memory()
        make_repeatable(target)
        if not world.leader:
            return dataclasses.replace(made, say=say_nothing, progress=hidden)
        return made

    @property
    def decoders(self) -> int:
        """How many processes decode image files; torchrun's on one machine divide its cores."""
        if self.workers is not None:
            return self.workers
        return max(1, min(8, usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))

    def quietly(self) -> Self:
        """Return the same without progress of its own, for work that is part of other work."""
        return dataclasses.replace(self, progress=hidden)

    def alone(self) -> Self:
        """Return the same for this process alone."""
        return dataclasses.replace(self, world=ALONE)

    def provenance(self) -> dict[str, Any]:
        """Return the versions, the hardware and the number of processes behind what is found."""
        return {**provenance(self.device), "processes": self.world.size}


def check_execution(execution: object) -> None:
    """Make sure that what a caller gave is an execution, or None.

    Raises:
        UserError: it is something else, as a device's name.
    """
    if not isinstance(execution, Execution | None):
        raise UserError(
            f"expected an execution, as Execution.on('cpu') makes it, got {execution!r}"
        )
