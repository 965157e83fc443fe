import mmap
import time

import pytest
import torch

from deepres.speed import machine
from deepres.speed.machine import (
    MATMUL,
    MULTIPLY_ADDS,
    convolution_rate,
    copy_rate,
    matmul_rate,
    peak_memory,
    resident_memory,
    seconds,
)

CPU = torch.device("cpu")


def test_on_one_thread_time_is_the_process_own() -> None:
    assert torch.get_num_threads() == 1
    assert seconds(lambda: time.sleep(0.1), 2, CPU) < 0.1


def test_on_more_threads_it_is_the_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert seconds(lambda: time.sleep(0.1), 2, CPU) >= 0.2


def test_a_coarse_clock_does_not_make_it_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", lambda: 15.6e-3)
    assert seconds(lambda: time.sleep(0.01), 1, CPU) >= 0.01


def test_rates_count_multiplications_and_additions_and_both_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "seconds", lambda call, times, device: call() is None or 2.0)
    assert matmul_rate(CPU, torch.float32) == 2048**3 * 5
    assert convolution_rate(CPU, torch.bfloat16) == 9 * 128**2 * 28**2 * 32 * 20
    assert copy_rate(CPU) == (1 << 28) * 5


def test_the_limit_of_float32_is_that_of_multiply_adds_if_there_is_a_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if machine.limited_by(CPU, torch.float32) != MULTIPLY_ADDS:
        pytest.skip("no C compiler")
    monkeypatch.setattr(machine, "seconds", lambda call, times, device: call() and 2.0)
    operations = machine._multiply_adds().operations()
    assert machine.limit_rate(CPU, torch.float32) == operations * 500_000 * 5 / 2


def test_without_a_compiler_the_limit_is_a_matrix_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_multiply_adds", lambda: "no C compiler cc")
    monkeypatch.setattr(machine, "matmul_rate", lambda device, dtype: 5.0)
    assert machine.limited_by(CPU, torch.float32) == MATMUL
    assert machine.limit_rate(CPU, torch.float32) == 5.0


def test_the_multiply_adds_are_made() -> None:
    """Twice the rounds take about twice the time: the compiler has left nothing out."""
    if isinstance(library := machine._multiply_adds(), str):
        pytest.skip(library)

    def least(rounds: int) -> float:
        return min(seconds(lambda: library.run(rounds, 1), 1, CPU) for _ in range(5))

    assert least(4_000_000) > 2 * least(1_000_000)


def test_memory_grows_by_what_is_written_and_the_peak_stays() -> None:
    before = resident_memory()
    assert before is not None
    held = mmap.mmap(-1, 1 << 28)  # 256 MiB, and not malloc's: it may have kept as much for reuse
    torch.frombuffer(held, dtype=torch.uint8).fill_(1)
    grown = resident_memory()
    assert grown - before > 250 << 20
    held.close()
    # The kernel counts pages by thread, and adds them up late: it may be off by some in either.
    peak = peak_memory(CPU)
    assert peak is not None
    assert peak > grown - (8 << 20)


def test_a_kernel_may_not_tell_the_peak() -> None:
    assert machine._status("VmNothing") is None


def test_the_peak_is_no_less_than_what_is_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = {"VmHWM": 1_000_000, "VmRSS": 1_028_672}
    monkeypatch.setattr(machine, "_status", noted.get)
    assert peak_memory(CPU) == 1_028_672
    assert resident_memory() == 1_028_672
