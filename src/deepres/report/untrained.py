"""Signals of networks at initialisation, which ``deepres signals`` measures without a run."""

from collections.abc import Callable, Iterable
from pathlib import Path

from deepres.errors import UserError
from deepres.files import read_json, strict
from deepres.json_shape import misfit
from deepres.report.published import MULTIPLY_ADDS_G
from deepres.report.runs import SIGNALS, Run
from deepres.run_contents import META, SIDE_FILES, SOME
from deepres.visible import visible_json

AT_INITIALISATION = "at initialisation"
UNTRAINED = {
    **SIDE_FILES[SIGNALS],
    "model": str,
    "steps": META["seed"],
    "seed": META["seed"],
    "images": SOME,
    "data": str,
    "provenance": META["provenance"],
}
"""What ``deepres signals`` writes, whether trained or not."""


class Untrained(Run):
    """A network at initialisation as a run of no steps, whose only numbers are its signals."""


def find_untrained(
    folders: Iterable[Path], left_out: Callable[[str], None] | None = None
) -> list[Run]:
    """Read what lies in ``folders`` of networks at initialisation, sorted by name.

    Args:
        folders: which hold run folders.
        left_out: is told of each file that is damaged, which is then left out; None: the first
            such file ends the reading.

    Raises:
        UserError: a file is damaged, and nobody is to be told.
    """
    files = {path.resolve() for folder in folders for path in folder.glob("signals-*.json")}
    runs = []
    for path in sorted(files, key=lambda path: (path.name, path)):
        try:
            runs.append(_read(path))
        except UserError as error:
            if left_out is None:
                raise
            left_out(str(error))
    return [run for run in runs if run is not None]


def _read(path: Path) -> Run | None:
    """Return a file's network; None: it is of a trained one."""
    content = strict(read_json(path))
    if wrong := misfit(content, UNTRAINED):
        raise UserError(f"{path} does not hold what deepres signals writes ({wrong}); remove it")
    if content["steps"]:
        return None
    content = visible_json(content)
    kind = "imagenet" if content["model"] in MULTIPLY_ADDS_G else "cifar10"
    recipe = {"model": content["model"], "kind": kind, "steps": 0, "scaled_from": None}
    recipe |= {"batch_size": content["images"]}  # so many BN sees at once
    source = content["data"].split(" training images of ")[-1]
    meta = {
        "recipe": recipe,
        "deviations": {},
        "seed": content["seed"],
        "data": {"source": source, "fingerprint": source},
        "provenance": content["provenance"],
    }
    result = {"steps": 0, "provenance": content["provenance"]}
    return Untrained(path, meta, [], result, side_files={SIGNALS: content})
