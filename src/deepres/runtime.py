"""What a process needs before any work: its device, its seeds, its allocator."""

import ctypes
import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from deepres.errors import UserError

CPU_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""What PyTorch calls the instructions for bfloat16 of x86 and Arm."""


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that is a function of ``parts`` alone, e.g. (seed, "crops", epoch)."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextmanager
def initial_weights_of(seed: int) -> Iterator[None]:
    """Draw the initial weights of ``seed``, the same on any device, for what is built meanwhile.

    The caller's random state stays as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "initial weights"))
        yield


@contextmanager
def drawing_from(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from ``seed`` what PyTorch draws meanwhile on ``device``, such as dropout.

    The caller's random state stays as it is.
    """
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is CUDA where there is a GPU, else the CPU.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise UserError(
            f"device {name!r} is not available here; use cpu, cuda, cuda:N, mps or auto"
        ) from error
    return device


def has_native_bf16(device: torch.device) -> bool:
    """Tell whether ``device`` multiplies bfloat16 itself, and not by way of float32.

    So do CUDA devices from compute capability 8.0 on, and by oneDNN CPUs with AVX512-BF16, AMX or
    Arm's BF16.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    ask = getattr(torch.cpu, "get_capabilities", dict[str, bool])  # PyTorch 2.11 may not have it
    return any(ask().get(name) for name in CPU_BF16)


def resolve_precision(name: str, device: torch.device) -> str:
    """Return what ``auto`` is on ``device``: bf16 where the hardware has it, else fp32."""
    if name == "auto":
        return "bf16" if has_native_bf16(device) else "fp32"
    return name


def usable_cores() -> int:
    """Return how many of the machine's cores this process may run on, as far as that is known."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Let PyTorch and our own kernels compute with so many threads on the CPU.

    Raises:
        UserError: there are none.
    """
    if count < 1:
        raise UserError(f"--threads must be at least 1, got {count}")
    torch.set_num_threads(count)


def make_repeatable(device: torch.device) -> None:
    """Make all work on ``device`` in this process exact float32 and the same bits each time.

    On CUDA the defaults are otherwise: convolutions in TF32, and whichever kernel is fastest.
    """
    if device.type == "cuda":
        if device.index is not None:
            torch.cuda.set_device(device)  # streams, graphs and kernels of our own go there
        # cuBLAS is deterministic only with a fixed workspace, chosen before its first call.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False  # up to PyTorch 2.11 the next line leaves this
        torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]
        # Everything is written before it is read; filling it first takes a launch each time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_freed_memory() -> None:
    """Tell glibc to keep freed activations for the next step instead of unmapping them.

    By default every large tensor is mapped and faulted in anew at each step, which costs a CPU
    training step about a fifth of its time. Without glibc (macOS, musl) this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    m_trim_threshold, m_mmap_threshold = -1, -3  # malloc.h
    libc = ctypes.CDLL(None)
    if not libc.mallopt(m_mmap_threshold, 1 << 30):
        libc.mallopt(m_mmap_threshold, 32 << 20)  # the most that older versions accept
    libc.mallopt(m_trim_threshold, 1 << 30)
