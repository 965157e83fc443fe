"""What a machine can do at its best, and how long work takes on it."""

import time
from collections.abc import Callable
from pathlib import Path

import torch


def seconds(call: Callable[[], object], times: int, device: torch.device) -> float:
    """Return how long ``times`` calls take on ``device``.

    With one CPU thread it is CPU time, which other work on the machine disturbs less.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    synchronize(device)
    began = clock()
    for _ in range(times):
        call()
    synchronize(device)
    return clock() - began


def synchronize(device: torch.device) -> None:
    """Wait for the device, where it works on its own."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations per second of a large matrix product.

    Multiplications and additions count apart. Whether float32 may mean TF32 on CUDA is left as it
    is.
    """
    side, times = (8192, 20) if device.type == "cuda" else (2048, 5)
    a, b = torch.randn(2, side, side, device=device, dtype=dtype)
    out = torch.empty_like(a)
    seconds(lambda: torch.mm(a, b, out=out), 3, device)
    return 2 * side**3 * times / seconds(lambda: torch.mm(a, b, out=out), times, device)


def copy_rate(device: torch.device) -> float:
    """Return the bytes per second of a large copy within the memory of ``device``.

    What is read and what is written both count.
    """
    size, times = (1 << 30, 20) if device.type == "cuda" else (1 << 28, 5)  # beyond any cache
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    seconds(lambda: target.copy_(source), 1, device)
    return 2 * size * times / seconds(lambda: target.copy_(source), times, device)


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes of memory that this process has had; None: it is not known here.

    On CUDA that is what PyTorch had allocated on the device, on a CPU under Linux what the process
    had resident.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type != "cpu" or (peak := _status("VmHWM")) is None:
        return None
    # The kernel brings its note of the peak up to date late, and by some pages less than there are.
    return max(peak, resident_memory() or 0)


def resident_memory() -> int | None:
    """Return the bytes of memory that this process has resident; None: it is not known here."""
    return _status("VmRSS")


def _status(field: str) -> int | None:
    """Read a size, in bytes, from what Linux says of this process.

    ``getrusage`` would do on more systems, but a process inherits its parent's peak there.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))
