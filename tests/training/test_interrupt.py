import os
import signal
import threading

import pytest

from deepres.training.interrupt import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request(number: int) -> None:
    usual = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert stop.signal_number == 0
        os.kill(os.getpid(), number)
        assert stop.signal_number == number
        assert signal.getsignal(number) is usual  # a second one acts at once
    assert signal.getsignal(number) is usual


def test_other_threads_go_without() -> None:
    seen = []

    def body() -> None:
        with stop_on_signals() as stop:
            seen.append(stop.signal_number)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [0]
