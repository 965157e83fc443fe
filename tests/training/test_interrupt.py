import os
import signal
import threading
from pathlib import Path

import pytest

from deepres.training.interrupt import Interrupted, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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


def test_a_hangup_stays_ignored_as_nohup_has_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signal_number == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_way_to_go_on_can_be_pasted_into_a_shell() -> None:
    line = str(Interrupted(signal.SIGINT, 7, Path("my runs/a"), Path("b;c")))
    assert line.endswith("deepres train --resume 'my runs/a' 'b;c'")
