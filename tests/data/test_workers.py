import multiprocessing
import signal
import time

import torch
from runs import on_cpu
from torch.utils.data import TensorDataset

from deepres.data.loading import StepStream
from deepres.data.workers import worker_context


def stream(workers: int) -> StepStream[tuple[torch.Tensor]]:
    squares = TensorDataset(torch.arange(12).square())
    return StepStream(squares, 9, on_cpu(workers=workers))


def test_a_stream_is_right_for_any_step() -> None:
    squares = stream(0)
    steps = (3, 4, 5, 2, 8, 9, 11, 0)
    assert [int(squares(step)[0]) for step in steps] == [step**2 for step in steps]


def test_closing_a_stream_ends_its_processes_though_an_error_holds_it() -> None:
    squares = stream(2)
    kept = []
    try:
        squares(0)
        raise ValueError(squares)
    except ValueError as error:
        kept.append(error)
    assert len(multiprocessing.active_children()) == 2
    squares.close()
    assert not multiprocessing.active_children()
    assert int(squares(2)[0]) == 4  # and it may be asked again
    squares.close()


def test_a_worker_that_ignores_sigterm_is_ended() -> None:
    # What forks it ignores SIGTERM, and so it does.
    worker = worker_context().Process(target=time.sleep, args=(300,), daemon=True)
    worker.start()
    worker.terminate()
    worker.join(timeout=60)
    assert worker.exitcode == -signal.SIGKILL
