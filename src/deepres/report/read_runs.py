"""Runs read from their folders, whole or still under way."""

import os
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from deepres.errors import UserError
from deepres.files import read_json, strict
from deepres.json_shape import misfit
from deepres.report.runs import Run
from deepres.run_contents import SIDE_FILES, checked, misfit_of_evaluations
from deepres.run_folder import EVALUATIONS, RunFolder
from deepres.visible import visible_json

NETWORK = re.compile(r"[a-z]+\d{1,6}[\w-]{0,40}", re.ASCII)
"""How networks are called."""


def read_run(path: Path) -> Run:
    """Read the run in the folder ``path``.

    Raises:
        UserError: there is none, or a file of it is damaged; it is named.
    """
    folder = RunFolder(path)
    meta, altered = visible_json(folder.read_meta_as_it_is()), tuple(folder.altered())
    if not NETWORK.fullmatch(meta["recipe"]["model"]):
        raise UserError(f"{folder.recipe} is of no network: {meta['recipe']['model']!r}")
    events, result = visible_json(folder.read_events()), visible_json(folder.read_result())
    shapes = {name: partial(misfit, shape=shape) for name, shape in SIDE_FILES.items()}
    shapes[EVALUATIONS] = partial(misfit_of_evaluations, kind=meta["recipe"]["kind"])
    side_files = {
        name: visible_json(checked(path / name, strict(read_json(path / name)), shape))
        for name, shape in shapes.items()
        if (path / name).exists()
    }
    changed_s = (folder.metrics if events else folder.recipe).stat().st_mtime
    return Run(path, meta, events, result, altered, side_files, changed_s)


def find_runs(folders: Iterable[Path], left_out: Callable[[str], None] | None = None) -> list[Run]:
    """Read all runs that lie in ``folders``, sorted by name, then in the order of the folders.

    Args:
        folders: which hold run folders.
        left_out: is told of each run that cannot be read, which is then left out; None: the first
            such run ends the reading.

    Raises:
        UserError: as in ``read_run``, if nobody is to be told.
    """
    places = [path for folder in folders for path in folder.glob("*") if path.is_dir()]
    runs = []
    for path in dict.fromkeys(path.resolve() for path in places):
        try:
            if not os.access(path, os.X_OK):
                raise UserError(f"{path} may not be looked into; mend the folder's permissions")
            if (path / "recipe.json").exists():
                runs.append(read_run(path))
        except (UserError, OSError) as error:  # the latter if it is taken away meanwhile
            if left_out is None:
                raise
            left_out(str(error))
    return sorted(runs, key=lambda run: run.name)
