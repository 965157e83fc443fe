"""Images per second, peak memory, and the share of the machine's rates that they amount to."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from deepres.errors import UserError
from deepres.models.complexity import least_traffic, total_cost
from deepres.progress import Progress
from deepres.runtime import resolve_device
from deepres.speed.machine import copy_rate, limit_rate, peak_memory, resident_memory, seconds
from deepres.speed.profile import Cost, profile
from deepres.speed.work import Work

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PASSES = {"training": 3, "inference": 1}
"""A backward pass does twice what the forward pass does: it computes the gradients of each layer's
input and of its weights."""
WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Turn:
    """What was measured one after the other."""

    images_per_s: float
    limit_per_s: float
    """Operations per second that the machine can do at most, in the work's precision."""
    copied_bytes_per_s: float
    """Bytes read and written per second by a large copy."""


@dataclass(frozen=True)
class Speed:
    """How fast a machine does a piece of work."""

    operations_per_image: int
    """Multiplications and additions of convolutions and fully connected layers."""
    bytes_per_image: float
    """The least that must be moved: activations, and the image's share of the weights."""
    peak_bytes: int | None
    """Of device memory, or by which the process grew; None: it is not known here."""
    turns: tuple[Turn, ...]
    costs: tuple[Cost, ...] = ()
    """What the costliest kernels cost, in order, if there was a profile."""

    def images_per_s(self) -> list[float]:
        """Return each turn's images per second."""
        return [turn.images_per_s for turn in self.turns]

    def limit_share(self) -> list[float]:
        """Return each turn's operations per second as a share of the machine's limit."""
        return [t.images_per_s * self.operations_per_image / t.limit_per_s for t in self.turns]

    def copy_share(self) -> list[float]:
        """Return the least bytes that each turn moved per second, as a share of the copy's."""
        return [t.images_per_s * self.bytes_per_image / t.copied_bytes_per_s for t in self.turns]


@dataclass(frozen=True)
class Timing:
    """How work is timed."""

    device: str
    threads: int
    """Of the CPU."""
    turns: int
    """How many times; the machine's own rates take turns with the work."""
    turn_s: float
    """How long each time, in seconds, at least; it is never less than one batch."""


def measure_alone(work: Work, timing: Timing, trace: Path | None) -> Speed:
    """Measure ``work`` in a process of its own, so that memory and caches are its own too.

    Args:
        work: what is done.
        timing: how it is timed.
        trace: where to write a profile, if one is wanted.

    Raises:
        UserError: the process was killed.
        torch.OutOfMemoryError: the device's memory is full.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's library chats
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return process.submit(_measure_here, work, timing, trace).result()
        except BrokenProcessPool as error:
            raise UserError(
                f"{work.network}: the process that measured {work.kind} was killed; if memory was "
                "short, take a smaller --batch-size"
            ) from error


def _measure_here(work: Work, timing: Timing, trace: Path | None) -> Speed:
    torch.set_num_threads(timing.threads)
    with Progress(f"{work.network}, {work.kind}", timing.turns) as bar:
        return measure(work, timing, trace, bar.update)


def measure(
    work: Work,
    timing: Timing,
    trace: Path | None = None,
    on_turn: Callable[[int], None] = lambda done: None,
) -> Speed:
    """Measure ``work`` in this process, which should be fresh: its growth is the work's memory."""
    device = resolve_device(timing.device)
    before = 0 if device.type == "cuda" else resident_memory()
    call = work.ready(device)
    seconds(call, WARM_UP_CALLS - 1, device)
    calls = max(1, math.ceil(timing.turn_s / seconds(call, 1, device)))
    peak = peak_memory(device)  # before the copies below come on top
    taken = []
    for done in range(1, timing.turns + 1):
        limit, copied = limit_rate(device, DTYPES[work.precision]), copy_rate(device)
        images_per_s = calls * work.batch / seconds(call, calls, device)
        taken.append(Turn(images_per_s, limit, copied))
        on_turn(done)
    return Speed(
        PASSES[work.kind] * operations(work),
        PASSES[work.kind] * least_bytes(work),
        None if peak is None or before is None else peak - before,
        tuple(taken),
        tuple(profile(call, device, trace)) if trace else (),
    )


def operations(work: Work) -> int:
    """Return the multiplications and additions of a forward pass of one image."""
    return 2 * total_cost(work.empty_network(), work.size).multiply_adds


def least_bytes(work: Work) -> float:
    """Return the bytes that a forward pass must at least move for one image of a batch."""
    traffic = least_traffic(work.empty_network().eval(), work.size)
    return DTYPES[work.precision].itemsize * (traffic.activations + traffic.weights / work.batch)
