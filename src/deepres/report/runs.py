"""Runs as reports see them: read from run folders, whole or still under way."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepres.files import read_json
from deepres.run_folder import Event, RunFolder

RESPONSES, SIGNALS = "responses.json", "signals.json"


@dataclass(frozen=True)
class Run:
    """One run, finished or not."""

    path: Path
    meta: dict[str, Any]
    """The content of recipe.json."""
    events: list[Event]
    result: dict[str, Any] | None
    """The content of result.json; None: the run is not finished."""

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.path.name

    @property
    def model(self) -> str:
        """Its network."""
        return str(self.meta["recipe"]["model"])

    @property
    def steps(self) -> int:
        """The length that its recipe gives it."""
        return int(self.meta["recipe"]["steps"])

    @property
    def papers_steps(self) -> int:
        """The length of the paper's run."""
        return int(self.meta["recipe"]["shortened_from"] or self.steps)

    @property
    def is_papers(self) -> bool:
        """Whether it is the paper's: of full length, with its recipe, on its data."""
        shortened, departs = self.meta["recipe"]["shortened_from"], self.meta["departures"]
        papers_data = ("CIFAR-10",) if self.meta["recipe"]["kind"] == "cifar10" else ("imagenet",)
        source = self.meta["data"]["source"].partition(" (")[0]
        return not shortened and not departs and source in papers_data

    def curve(self, split: str, key: str = "error_pct") -> tuple[list[int], list[float]]:
        """Return steps and values of what was logged of ``split`` (train, val or test)."""
        points = [(e["step"], e[key]) for e in self.events if e["split"] == split and key in e]
        return [step for step, _ in points], [value for _, value in points]

    def side_file(self, name: str) -> Any:
        """Return the content of a JSON file that a study left beside the run, or None."""
        path = self.path / name
        return read_json(path) if path.exists() else None


def read_run(path: Path) -> Run:
    """Read the run in the folder ``path``.

    Raises:
        UserError: there is none, or a file of it is damaged.
    """
    folder = RunFolder(path)
    meta = folder.read_meta()
    result = read_json(folder.result) if folder.result.exists() else None
    return Run(path, meta, folder.read_events(), result)


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """Read all runs that lie in ``folders``, sorted by name."""
    found = {path.parent.resolve() for folder in folders for path in folder.glob("*/recipe.json")}
    return sorted(map(read_run, found), key=lambda run: run.name)
