"""What a measured number depends on: code, libraries, hardware."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def provenance(device: "torch.device") -> dict[str, str]:
    """Return the versions and the hardware behind a number that is measured on ``device``."""
    import torch  # the command's --version needs only what is below

    return {
        "deepres": installed_version(),
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
        "device": device.type,
        "hardware": _hardware(device),
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what has changed since ``then`` of all that a run's bits depend on.

    They do not depend on how many runs there were at once.
    """
    return [
        f"{key} {then[key]} → {now[key]}"
        for key in now
        if key != "runs_at_once" and then.get(key, now[key]) != now[key]
    ]


def installed_version() -> str:
    """Return the version of deepres; a checkout on PYTHONPATH has none."""
    try:
        return version("deepres")
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The git commit of this very code.

    ``DEEPRES_COMMIT`` says it for a copy whose own history does not. "unknown": it was installed
    without its history.
    """
    if said := os.environ.get("DEEPRES_COMMIT"):
        return said
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


def _hardware(device: "torch.device") -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((li.split(":")[1].strip() for li in lines if li.startswith("model name")), name)
    count = torch.get_num_threads()
    return f"{name}, {count} thread{'s' * (count > 1)}"
