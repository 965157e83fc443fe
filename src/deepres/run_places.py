"""Where the folders of runs lie, and what they are called."""

import os
from collections.abc import Iterable
from pathlib import Path

from deepres.files import json_digest

RUNS = Path("runs")
"""Where the folders of runs lie, if nobody says."""
LONGEST_NAME, KEPT_OF_LONGER = 255, 160
"""In bytes: what file systems take, and what is kept of a run's name that is longer."""


def run_name(
    recipe: str, steps: int, scaled_from: int | None, seed: int, settings: Iterable[str] = ()
) -> str:
    """Return what the folder of a run is called, if nobody says: ``resnet20-2000steps-s0``.

    Of long settings there is the beginning, and a digest of all.
    """
    ending = [*([f"{steps}steps"] if scaled_from else []), f"s{seed}"]
    name = "-".join([recipe, *settings, *ending])
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    beginning = os.fsencode(name)[:KEPT_OF_LONGER].decode(errors="ignore")
    return "-".join([beginning, json_digest(name)[:8], *ending])


def results_folder() -> Path:
    """Return the folder of the results that come with deepres: in the package, or beside it."""
    package = Path(__file__).parent
    installed, checkout = package / "results", package.parents[1] / "results"
    return installed if installed.is_dir() else checkout


def comes_with_deepres(path: Path) -> bool:
    """Tell whether ``path`` is one of these results, which commands read but do not add to."""
    return path.resolve().is_relative_to(results_folder().resolve())


def place_beside(run: Path, name: str) -> Path:
    """Return where a command writes what it finds about a run: ``name``, in the run's folder.

    Of a run that comes with deepres, or whose folder cannot be written to, it goes into the working
    folder, called by the run.
    """
    elsewhere = comes_with_deepres(run) or not os.access(run, os.W_OK)
    return Path(f"{run.resolve().name}.{name}") if elsewhere else run / name
