"""The time that training takes, of a run or of several at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Counts seconds, but for those in which a run is tested or saved.

    Runs at once share one. Their steps take turns, and overlap on a GPU, so that each run's time is
    that of all their steps; what another's tests and files take is no more part of it than its own.
    """

    def __init__(self) -> None:
        self._stood_still = 0.0

    def now(self) -> float:
        """Return the seconds since some moment."""
        # Other clocks tick too coarsely for a step in some systems.
        return time.perf_counter() - self._stood_still

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stand still meanwhile."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._stood_still += time.perf_counter() - began
