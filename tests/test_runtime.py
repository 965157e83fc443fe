import platform
import subprocess
import sys
from typing import Any

import pytest
import torch

from deepres.errors import UserError
from deepres.execution import Execution
from deepres.runtime import derive_seed, has_native_bf16, resolve_device


def test_seeds_are_fixed_and_distinct() -> None:
    # A literal: a change of this function would change every run.
    assert derive_seed(0, "epoch", 0) == 5547498659984640359
    assert len({derive_seed(s, "epoch", e) for s in range(10) for e in range(10)}) == 100


def test_absent_device_is_a_clear_error() -> None:
    with pytest.raises(UserError, match="device 'quantum' is not available here; use cpu"):
        resolve_device("quantum")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device 'cuda' is not available"):
            resolve_device("cuda")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"device": None}, "device None is not available here; use cpu"),
        ({"workers": "2"}, "the number of workers must be a whole number, got '2'"),
        ({"workers": 1.5}, "the number of workers must be a whole number, got 1.5"),
        ({"save_every_s": "5"}, "the time between checkpoints must be 0 s or more, got '5'"),
        ({"save_every_s": None}, "the time between checkpoints must be 0 s or more, got None"),
    ],
)
def test_what_an_execution_cannot_be_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Execution.on(**{"device": "cpu", **given})


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({}, False),
    ],
)
def test_a_cpu_has_bfloat16_if_its_instructions_do(
    capabilities: dict[str, bool], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_native_bf16(torch.device("cpu")) is native
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not has_native_bf16(torch.device("cpu"))


@pytest.mark.parametrize(
    ("capability", "native"), [((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_a_gpu_has_bfloat16_from_compute_capability_8_on(
    capability: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_native_bf16(torch.device("cuda")) is native


def test_on_cuda_float32_is_float32_and_kernels_go_to_the_device_that_was_named() -> None:
    program = """
import torch
from deepres.runtime import make_repeatable
torch.cuda.set_device = print
make_repeatable(torch.device("cuda"))
make_repeatable(torch.device("cuda:1"))
backends = torch.backends
print(backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision)
print(backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32)
"""
    command = [sys.executable, "-W", "error", "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["cuda:1", "ieee", "ieee", "False", "False"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_freed_memory_is_kept() -> None:
    # Page faults are what it saves: a 64 MB tensor made again takes its pages from the heap, once
    # the heap has a hole that is wide enough for it wherever alignment puts it.
    program = """
import resource, sys, torch
from deepres.runtime import keep_freed_memory
if sys.argv[1] == "keep": keep_freed_memory()
for _ in range(20): torch.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5): torch.ones(16_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

    def faults(mode: str) -> int:
        command = [sys.executable, "-c", program, mode]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < faults("default") / 10
