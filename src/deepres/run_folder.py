"""A run's folder: the only contract between training and everything that reads its outcome.

recipe.json         the recipe, the seed, the data and the provenance
metrics.jsonl       one object per event, in the order of steps
checkpoint.pt       the latest state; checkpoint.previous.pt the one before
model.safetensors   final weights
result.json         final numbers
evaluations.json    errors by other views, where ``deepres evaluate`` has found them; what
                    tests of a detector have found
"""

import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepres.errors import UserError, cannot_write
from deepres.files import atomic_write, read_json, write_json

if sys.platform != "win32":
    import fcntl

Event = dict[str, Any]

EVALUATIONS = "evaluations.json"
"""Beside a run's files: its errors by other views than that of training."""
DETECTIONS, PR_CURVES = "detections.png", "pr_curves.json"
"""What a detector's test leaves: pictures, and each class's precision against recall."""


def run_name(
    recipe: str, steps: int, shortened_from: int | None, seed: int, settings: Iterable[str] = ()
) -> str:
    """Return what the folder of a run is called, if nobody says: ``resnet20-2000steps-s0``."""
    length = [f"{steps}steps"] if shortened_from else []
    return "-".join([recipe, *settings, *length, f"s{seed}"])


def results_folder() -> Path:
    """Return the folder of the results that come with deepres: in the package, or beside it."""
    package = Path(__file__).parent
    installed, checkout = package / "results", package.parents[1] / "results"
    return installed if installed.is_dir() else checkout


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
                "or choose another folder by --out"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if need be, and keep other processes from training in it.

        What a killed process left half-written is removed. On Windows, and on file systems that
        know no locks, there is none.

        Raises:
            UserError: another process is training here, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if sys.platform == "win32":
            yield
            return
        folder = os.open(self.path, os.O_RDONLY)  # its lock goes with the process
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"another process is training in {self.path}") from error
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                    raise
            for leftover in self.path.glob(".*.tmp"):
                leftover.unlink()
            yield
        finally:
            os.close(folder)

    def read_meta(self) -> dict[str, Any]:
        """Return the content of recipe.json.

        Raises:
            UserError: there is no run here.
        """
        if not self.recipe.exists():
            raise UserError(f"{self.path} is not a run folder: it has no recipe.json")
        meta: dict[str, Any] = read_json(self.recipe)
        return meta

    def write_meta(self, meta: dict[str, Any]) -> None:
        """Write recipe.json."""
        write_json(self.recipe, meta)

    def set_tests_aside(self, steps: int) -> None:
        """If a finished run is extended to ``steps``, rename what tests found of its old weights.

        evaluations.json becomes evaluations-<old steps>steps.json, and so on.
        """
        if not self.result.exists() or (old := read_json(self.result)["steps"]) >= steps:
            return
        for name in (EVALUATIONS, DETECTIONS, PR_CURVES):
            path = self.path / name
            if path.exists():
                path.rename(path.with_stem(f"{path.stem}-{old}steps"))

    def append_event(self, event: Event) -> None:
        """Add a line to metrics.jsonl."""
        try:
            with self.metrics.open("a") as file:
                file.write(json.dumps(event) + "\n")
        except OSError as error:
            raise cannot_write(self.metrics, error) from error

    def read_events(self) -> list[Event]:
        """Return the events so far; a last line that a kill or a full disk cut is left out."""
        lines = self.metrics.read_text().split("\n")[:-1] if self.metrics.exists() else []
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise UserError(f"{self.metrics} is damaged ({error}); restore it") from error

    def sync_events(self) -> int:
        """Make the events so far survive a power cut, and return how many there are."""
        if self.metrics.exists():
            with self.metrics.open("rb+") as file:
                os.fsync(file.fileno())
        return len(self.read_events())

    def rewind_events(self, count: int) -> None:
        """Keep the first ``count`` events; a resumed run will log the others again.

        Raises:
            UserError: there are fewer; somebody has cut the file.
        """
        events = self.read_events()
        if len(events) < count:
            raise UserError(
                f"{self.metrics} has {len(events)} events, but the run had logged {count} when it "
                "was saved; restore the file, or start a new run"
            )
        if self.metrics.exists():
            with atomic_write(self.metrics) as file:
                file.writelines(json.dumps(event).encode() + b"\n" for event in events[:count])
