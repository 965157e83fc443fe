"""What a process needs before any work: its device, its seeds, its allocator, its errors."""

import ctypes
import difflib
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import torch


class UserError(Exception):
    """A mistake that the user can mend: one line that says what was given, expected, and to do."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist, with the nearest that do."""
    known = sorted(known)
    if nearest := difflib.get_close_matches(name, known, n=3):
        return UserError(f"unknown {kind} {name!r}; did you mean {' or '.join(nearest)}?")
    return UserError(f"unknown {kind} {name!r}; there are {', '.join(known)}")


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that is a function of ``parts`` alone, e.g. (seed, "crops", epoch)."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` takes the accelerator if there is one.

    Kernels are made deterministic, so that a run repeats to the same bits on the same hardware.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        device = accelerator or torch.device("cpu")
    else:
        try:
            device = torch.device(name)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(
                f"device {name!r} is not available here; use cpu, cuda, cuda:N, mps or auto"
            ) from error
    if device.type == "cuda":
        # cuBLAS is deterministic only with a fixed workspace, chosen before its first call.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)
    return device


def keep_freed_memory() -> None:
    """Tell glibc to keep freed activations for the next step instead of unmapping them.

    By default every large tensor is mapped and faulted in anew at each step, which costs a CPU
    training step about a fifth of its time. Without glibc (macOS, musl) this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    m_trim_threshold, m_mmap_threshold = -1, -3  # malloc.h
    libc = ctypes.CDLL(None)
    libc.mallopt(m_trim_threshold, 1 << 30)
    libc.mallopt(m_mmap_threshold, 1 << 30)


def provenance(device: torch.device) -> dict[str, str]:
    """Return what a number measured here depends on: code, libraries, hardware."""
    return {
        "deepres": version("deepres"),
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "hardware": _hardware(device),
    }


def _commit() -> str:
    """The git commit of this very code; "unknown" where it was installed without its history."""
    package = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy inside another project's checkout must not take that project's commit.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((li.split(":")[1].strip() for li in lines if li.startswith("model name")), name)
    return f"{name}, {torch.get_num_threads()} threads"
