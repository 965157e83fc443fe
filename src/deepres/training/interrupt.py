"""Ctrl-C and SIGTERM as requests: the step ends, the state is saved, then the program stops."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Interrupted(Exception):
    """A run that stopped when asked to; its state is saved."""

    def __init__(
        self, signal_number: int, step: int, run: Path, command: str = "deepres train"
    ) -> None:
        super().__init__(f"stopped at step {step:,}; go on with: {command} --resume {run}")
        self.signal_number = signal_number


class StopRequest:
    """Which signal has asked for a stop; 0 while none has."""

    signal_number = 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one acts as usual, at once."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # Python allows signal handlers in the main thread only
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        request.signal_number = number
        for each, handler in usual.items():
            signal.signal(each, handler)

    for number in usual:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
