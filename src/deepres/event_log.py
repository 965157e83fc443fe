"""What a run has logged: one JSON object a line, in the order of steps."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from deepres.errors import UserError
from deepres.files import (
    atomic_write,
    not_through_links,
    parse_json,
    read_file,
    strict,
    writing,
)
from deepres.run_contents import checked, misfit_of_event

Event = dict[str, Any]


class EventLog:
    """The events in the file ``metrics``."""

    def __init__(self, metrics: Path) -> None:
        self.metrics = metrics
        self.listeners: list[Callable[[Event], None]] = []
        """Each is told every event, once it is in the file."""

    def append_event(self, event: Event) -> None:
        """Add a line to metrics.jsonl, and tell those who listen."""
        line = json.dumps(strict(event), allow_nan=False) + "\n"
        with writing(self.metrics), open(self.metrics, "a", opener=not_through_links) as file:
            file.write(line)
        for listener in self.listeners:
            listener(event)

    def read_events(self) -> list[Event]:
        """Return the events so far; a last line that a kill or a full disk cut is left out.

        Raises:
            UserError: a line is damaged; it is named.
        """
        lines = {f"line {i} of {self.metrics}": line for i, line in enumerate(self.lines(), 1)}
        return [
            checked(name, strict(parse_json(line, name)), misfit_of_event)
            for name, line in lines.items()
        ]

    def lines(self) -> list[bytes]:
        """Return the whole lines of metrics.jsonl."""
        return read_file(self.metrics).split(b"\n")[:-1] if self.metrics.exists() else []

    def sync_events(self) -> tuple[int, str]:
        """Make the events so far survive a power cut; return how many there are, and a digest."""
        if self.metrics.exists():
            with writing(self.metrics), self.metrics.open("rb+") as file:
                os.fsync(file.fileno())
        lines = self.lines()
        return len(lines), digest_of_lines(lines)

    def check_events(self, count: int, digest: str | None) -> None:
        """Make sure that the first ``count`` events are those that ``sync_events`` saw.

        Args:
            count: how many it returned.
            digest: of them; None: it is of before there were any.

        Raises:
            UserError: there are fewer, or others.
        """
        lines = self.lines()
        if len(lines) < count:
            raise UserError(
                f"{self.metrics} has {len(lines)} events, but the run had logged {count} when it "
                "was saved; restore the file, or start a new run"
            )
        if digest not in (None, digest_of_lines(lines[:count])):
            raise UserError(
                f"{self.metrics} is not as it was written: one of its first {count} lines was "
                "edited, or is damaged. Restore the file, or start a new run in another folder"
            )

    def rewind_events(self, count: int) -> None:
        """Keep the first ``count`` events; a resumed run will log the others again."""
        if self.metrics.exists():
            lines = self.lines()[:count]
            with atomic_write(self.metrics) as file:
                file.writelines(line + b"\n" for line in lines)


def digest_of_lines(lines: Iterable[bytes]) -> str:
    """Return the SHA-256 of whole lines."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line + b"\n")
    return digest.hexdigest()


def of_split(events: Iterable[Event], split: str) -> list[Event]:
    """Return the events of a split."""
    return [event for event in events if event["split"] == split]


def last_whole_window(events: Iterable[Event], log_every: int) -> Event:
    """Return the event of the last log window that is whole: one of a few steps says little."""
    trained = of_split(events, "train")
    return ([event for event in trained if event["step"] % log_every == 0] or trained)[-1]
