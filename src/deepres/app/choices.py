"""Which networks the page can choose from: those whose weights are at hand."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from deepres.errors import UserError
from deepres.pretrained.bundled import bundled_runs
from deepres.pretrained.introduction import introduction
from deepres.run_folder import RunFolder
from deepres.run_weights import WEIGHTS


class Choice(NamedTuple):
    """A classifier with weights."""

    name: str
    """What it goes by."""
    weights: Path
    about: list[str]
    """Whose weights, which ResNet, and what input it expects, in words."""


def choices(given: Iterable[tuple[str, Path]], runs: Path) -> dict[str, Choice]:
    """Return the classifiers whose weights are at hand, by name: each file once.

    Args:
        given: names and weights that come first.
        runs: a folder with runs at any depth, which come next, the newest first; then come those
            that come with deepres, the most accurate first. What is not finished or no classifier
            is left out.
    """
    found: dict[str, Choice] = {}
    seen = set[Path]()
    bundled = sorted(bundled_runs().items(), key=lambda run: _error_pct(run[1]))
    for name, weights in (*given, *_finished(runs), *bundled):
        file = (weights / WEIGHTS if weights.is_dir() else weights).resolve()
        if file in seen:
            continue
        seen.add(file)
        try:
            found.setdefault(name, Choice(name, weights, introduction(weights)))
        except UserError:
            continue
    return found


def _finished(runs: Path) -> Iterator[tuple[str, Path]]:
    written: dict[Path, float] = {}
    for folder, _, _ in os.walk(runs):
        with suppress(OSError):  # a link may lead nowhere, and a run be taken away meanwhile
            if (file := Path(folder, WEIGHTS)).is_file():
                written[file.parent] = file.stat().st_mtime
    return ((str(run), run) for run in sorted(written, key=lambda run: -written[run]))


def _error_pct(run: Path) -> float:
    return float((RunFolder(run).read_result() or {}).get("test_error_pct", 100))
