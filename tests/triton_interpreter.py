"""Running a test module in Triton's interpreter, in a process of its own: no GPU is needed."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest


def run_in_interpreter(file: Path, passed: int) -> None:
    """Run the tests in ``file``, and make sure that so many pass."""
    triton, numpy = (
        tuple(map(int, version(package).split(".")[:2])) for package in ("triton", "numpy")
    )
    if triton < (3, 7) and numpy >= (2, 4):
        pytest.skip("Triton's interpreter works with NumPy 2.4 from Triton 3.7 on (triton#9171)")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    assert f"{passed} passed" in ran.stdout
