"""What a machine can do at its best, and how long work takes on it."""

import ctypes
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F

from deepres.compiled import compiled

MULTIPLY_ADDS = "multiply-adds"
CONVOLUTION = "a convolution"
MATMUL = "a matrix product"
CPU = torch.device("cpu")


def seconds(call: Callable[[], object], times: int, device: torch.device) -> float:
    """Return how long ``times`` calls take on ``device``.

    With one CPU thread it is CPU time, which other work on the machine disturbs less; but not where
    its clock ticks too coarsely to see them, as on Windows.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    synchronize(device)
    began, began_on_cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        call()
    synchronize(device)
    on_cpu, passed = time.process_time() - began_on_cpu, time.perf_counter() - began
    return on_cpu if alone and on_cpu > 0 else passed


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


def limited_by(device: torch.device, dtype: torch.dtype) -> str:
    """Return in words what ``limit_rate`` measures on ``device``."""
    if device.type != "cpu":
        return MATMUL
    if dtype != torch.float32:
        return CONVOLUTION
    return MATMUL if isinstance(_multiply_adds(), str) else MULTIPLY_ADDS


def limit_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the most operations per second that ``device`` is known to do.

    Multiplications and additions count apart. On a CPU float32 is measured by fused multiply-adds
    on registers, in C, as no library's matrix product is as fast on every processor; without a
    compiler that is what there is. bfloat16, for which C has no operations, is measured by a
    convolution of ResNets that oneDNN is quick at, as it is by a matrix product on a GPU.
    """
    by = limited_by(device, dtype)
    if by == MULTIPLY_ADDS:
        return multiply_add_rate()
    return convolution_rate(device, dtype) if by == CONVOLUTION else matmul_rate(device, dtype)


@cache
def _multiply_adds() -> ctypes.CDLL | str:
    """Return the compiled loop, or why there is none."""
    found = compiled(Path(__file__).with_name("fma.c"))
    if not isinstance(found, str):
        found.run.argtypes, found.run.restype = [ctypes.c_int64, ctypes.c_int], ctypes.c_float
    return found


def multiply_add_rate() -> float:
    """Return the operations per second of multiply-adds on the CPU's registers, all threads."""
    library, threads, rounds, times = _multiply_adds(), torch.get_num_threads(), 500_000, 5
    assert not isinstance(library, str), library
    seconds(lambda: library.run(rounds, threads), 1, CPU)
    taken = seconds(lambda: library.run(rounds, threads), times, CPU)
    return float(library.operations() * rounds * threads * times / taken)


def convolution_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations per second of 3×3 convolutions from 128 to 128 channels."""
    channels, side, batch, times = 128, 28, 32, 20
    x = torch.randn(batch, channels, side, side, device=device, dtype=dtype)
    weight = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype)
    x, weight = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight))

    seconds(lambda: F.conv2d(x, weight, padding=1), 3, device)
    taken = seconds(lambda: F.conv2d(x, weight, padding=1), times, device)
    return 2 * 9 * channels**2 * side**2 * batch * times / taken


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
    found = (int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))
    return next(found, None)
