"""Signals as requests to stop: the step ends, the state is saved, then the program stops."""

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

HANGUP = getattr(signal, "SIGHUP", None)
"""By which a terminal says that it is closed; Windows has none."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([HANGUP] if HANGUP else []))


class Interrupted(Exception):
    """Runs that stopped when asked to; their states are saved."""

    def __init__(
        self, signal_number: int, step: int, *runs: Path, command: str = "deepres train"
    ) -> None:
        names = shlex.join(map(str, runs))
        super().__init__(f"stopped at step {step:,}; go on with: {command} --resume {names}")
        self.signal_number, self.step, self.runs = signal_number, step, runs
        self.command = command


class StopRequest:
    """Which signal has asked for a stop; 0 while none has."""

    signal_number = 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first of ``SIGNALS`` into a request; a second one acts as usual, at once.

    SIGHUP stays ignored if it is: ``nohup`` is there for runs to outlive their terminal.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # Python allows signal handlers in the main thread only
        return
    usual = {number: signal.getsignal(number) for number in SIGNALS}
    if usual.get(HANGUP) == signal.SIG_IGN:
        del usual[HANGUP]

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
