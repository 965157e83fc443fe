"""Signals of networks at initialisation, which ``deepres signals`` measures without a run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepres.errors import UserError
from deepres.files import read_json
from deepres.report.published import MULTIPLY_ADDS_G
from deepres.report.runs import SIGNALS, Run

AT_INITIALISATION = "at initialisation"


class Untrained(Run):
    """A network at initialisation as a run of no steps, whose only numbers are its signals."""

    @property
    def condition(self) -> str:
        """What sets it apart from the paper's, in words: other data."""
        return self.meta["data"]["source"] if self.has_foreign_data else ""

    def side_file(self, name: str) -> Any:
        """Return what was measured, which is the file that it is read from."""
        return read_json(self.path) if name == SIGNALS else None


def find_untrained(folders: Iterable[Path]) -> list[Run]:
    """Read what lies in ``folders`` of networks at initialisation, sorted by name.

    Raises:
        UserError: a file is damaged.
    """
    files = {path.resolve() for folder in folders for path in folder.glob("signals-*.json")}
    found = (_read(path) for path in sorted(files, key=lambda path: (path.name, path)))
    return [run for run in found if run is not None]


def _read(path: Path) -> Run | None:
    """Return a file's network; None: it is of a trained one."""
    content = read_json(path)
    try:
        if content["steps"]:
            return None
        kind = "imagenet" if content["model"] in MULTIPLY_ADDS_G else "cifar10"
        recipe = {"model": content["model"], "kind": kind, "steps": 0, "scaled_from": None}
        source = content["data"].split(" training images of ")[-1]
        meta = {
            **{"recipe": recipe, "deviations": {}, "seed": content["seed"]},
            "data": {"source": source, "fingerprint": source},
            "provenance": content["provenance"],
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path} does not hold what deepres signals writes; remove it") from error
    return Untrained(path, meta, [], {"steps": 0, "provenance": content["provenance"]})
