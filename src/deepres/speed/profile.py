"""Where the time of a piece of work goes, kernel by kernel."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity

from deepres.speed.machine import synchronize

CALLS = 3
"""How many of them a trace holds."""
COSTLIEST = 10
"""How many kernels are told apart."""


@dataclass(frozen=True)
class Cost:
    """What a kernel takes; on a CPU an operator, without those that it calls."""

    name: str
    calls: float
    """How often it runs in one call of the work."""
    seconds: float
    """Its own time in one call of the work."""
    share: float
    """Of the time of all kernels."""


def profile(call: Callable[[], object], device: torch.device, trace: Path) -> list[Cost]:
    """Trace a few calls; return what the costliest kernels cost, in order.

    Args:
        call: the work, warmed up.
        device: where it runs.
        trace: the file to write, in Chrome's format, which Perfetto (ui.perfetto.dev) shows.
    """
    on_cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    # Kept events: without that torch 2.11 warns of cycles that there are none of.
    with torch.profiler.profile(activities=activities, acc_events=True) as profiler:
        for _ in range(CALLS):
            call()
        synchronize(device)
    trace.parent.mkdir(parents=True, exist_ok=True)
    profiler.export_chrome_trace(str(trace))
    events = [
        (e.key, e.count, e.self_device_time_total if on_cuda else e.self_cpu_time_total)
        for e in profiler.key_averages()
        if not on_cuda or e.device_type.name == "CUDA"
    ]
    total = sum(microseconds for *_, microseconds in events)
    costs = [Cost(name, n / CALLS, us / 1e6 / CALLS, us / total) for name, n, us in events]
    return sorted(costs, key=lambda cost: -cost.seconds)[:COSTLIEST]
