"""A run's folder: the only contract between training and everything that reads its outcome.

recipe.json         the recipe, the seed, the data and the provenance
metrics.jsonl       one object per event, in the order of steps
checkpoint.pt       the latest state; checkpoint.previous.pt the one before
model.safetensors   final weights
result.json         final numbers
"""

import json
from pathlib import Path
from typing import Any

from deepres.errors import UserError, cannot_write
from deepres.files import atomic_write, read_json, write_json

Event = dict[str, Any]


class RunFolder:
    """Paths and JSON of the run at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.json"
        self.metrics = path / "metrics.jsonl"
        self.checkpoint = path / "checkpoint.pt"
        self.weights = path / "model.safetensors"
        self.result = path / "result.json"

    def check_absent(self) -> None:
        """Make sure that a new run can start here.

        Raises:
            UserError: there is a run already.
        """
        if self.recipe.exists():
            raise UserError(
                f"{self.path} already holds a run; go on with it by --resume {self.path}, "
                "or choose another folder by --run"
            )

    def create(self, meta: dict[str, Any]) -> None:
        """Start a new run.

        Raises:
            UserError: there is one already.
        """
        self.check_absent()
        write_json(self.recipe, meta)

    def read_meta(self) -> dict[str, Any]:
        """Return the content of recipe.json.

        Raises:
            UserError: there is no run here.
        """
        if not self.recipe.exists():
            raise UserError(f"{self.path} is not a run folder: it has no recipe.json")
        meta: dict[str, Any] = read_json(self.recipe)
        return meta

    def append_event(self, event: Event) -> None:
        """Add a line to metrics.jsonl."""
        try:
            with self.metrics.open("a") as file:
                file.write(json.dumps(event) + "\n")
        except OSError as error:
            raise cannot_write(self.metrics, error) from error

    def read_events(self) -> list[Event]:
        """Return the events so far; a last line that a kill or a full disk cut is left out."""
        events = []
        for line in self.metrics.read_text().splitlines() if self.metrics.exists() else []:
            try:
                events.append(json.loads(line))
            except ValueError:
                break
        return events

    def rewind_events(self, step: int) -> None:
        """Drop the events after ``step``, which a resumed run will log again."""
        if self.metrics.exists():
            kept = [event for event in self.read_events() if event["step"] <= step]
            with atomic_write(self.metrics) as file:
                file.writelines(json.dumps(event).encode() + b"\n" for event in kept)
