"""Progress of long work: a bar with ETA in a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Shows how far ``total`` units of work have come.

    In a terminal this is one line that redraws itself; in a log file or a pipe, a plain line at
    most every ten seconds. It goes to standard error; standard output is for results.

    Example:
        >>> with Progress("train resnet20", total=1_000) as bar:
        ...     bar.update(10, "lr 0.1  error 88.9 %")
    """

    def __init__(self, label: str, total: int, start: int = 0, shown: bool = True) -> None:
        self._shown = shown
        self._label, self._total, self._start = label, total, start
        self._done: float = start
        self._began = time.monotonic()
        self._line_at = self._began
        self._line_done: float = start
        self._bar: RichProgress | None = None
        if shown and sys.stderr and sys.stderr.isatty():
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=10),  # all of it fits into 80 columns
                TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(label, total=total, completed=start, note="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: float, note: str = "") -> None:
        """Say that ``done`` units are complete, with a few words on how it goes."""
        self._done = done
        if self._bar:
            self._bar.update(self._task, completed=done, note=note)
            return
        if not self._shown:
            return
        now = time.monotonic()
        due = now - self._line_at >= SECONDS_BETWEEN_LINES or done == self._total
        if due and done != self._line_done:
            self._line_at, self._line_done = now, done
            print(
                f"{self._label} {done:,.0f}/{self._total:,}  ETA {self._eta(now)}  {note}",
                file=sys.stderr,
                flush=True,
            )

    def _eta(self, now: float) -> str:
        fresh = self._done - self._start
        seconds = round((now - self._began) / fresh * (self._total - self._done)) if fresh else 0
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


class Part(Progress):
    """Progress of a part, which shows in the bar of the ``whole``.

    Args:
        whole: the bar of all the work.
        before: how much of the whole is complete when the part begins.
        share: how much of the whole the part is.
        label: what the part is called.
        total: its own units of work.
        start: how many of them are complete already.
    """

    def __init__(
        self, whole: Progress, before: float, share: float, label: str, total: int, start: int = 0
    ) -> None:
        super().__init__(label, total, start, shown=False)
        self._whole, self._before, self._share = whole, before, share

    def update(self, done: float, note: str = "") -> None:
        """Say that ``done`` units are complete, with a few words on how it goes."""
        place = round(self._before + self._share * done / self._total, 6)
        self._whole.update(place, f"{self._label} {done:,.0f}/{self._total:,}  {note}")
