"""deepres reproduce --list: each table and figure, what is there, and how long the rest takes."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepres.cli.terminal import print_table, say
from deepres.errors import UserError
from deepres.reproduction.artefacts import ARTEFACTS, Artefact, find_artefacts
from deepres.reproduction.plan import PlannedRun, plan

if TYPE_CHECKING:
    import torch

ALL = "all of them"
Planned = dict[Artefact, list[PlannedRun]]
"""Each artefact's runs."""


def call(options: argparse.Namespace) -> int:
    """Print what there is, and then, as it takes seconds to find out, how long the rest takes."""
    artefacts = find_artefacts(options.names) if options.names else ARTEFACTS
    planned_of = planner(options, artefacts)
    planned = {artefact: planned_of([artefact]) for artefact in artefacts}
    runs = {run.folder: run for needed in planned.values() for run in needed}
    unfinished = {folder: run for folder, run in runs.items() if run.state() != "finished"}
    show_what_there_is(planned, unfinished)
    if unfinished:
        # With PyTorch and all of the training, which the list need not wait for.
        from deepres.runtime import resolve_device

        device = resolve_device(options.device)
        show_times(planned, unfinished, options.runs, device, options.measure)
    return 0


def planner(
    options: argparse.Namespace, artefacts: Sequence[Artefact]
) -> Callable[..., list[PlannedRun]]:
    """Return ``plan`` with what the command line says of the runs of ``artefacts``.

    Raises:
        UserError: it sets fields, and there are no runs.
    """
    if options.set and not any(artefact.studies for artefact in artefacts):
        names = " ".join(artefact.name for artefact in artefacts)
        raise UserError(f"no run is trained for {names}: there is nothing to --set")
    return partial(
        plan,
        runs=options.runs,
        steps=options.steps,
        scale=options.scale,
        seeds=options.seeds,
        settings=options.set,
    )


def show_what_there_is(planned: Planned, unfinished: dict[Path, PlannedRun]) -> None:
    """Print each artefact, and how many of its runs are finished."""
    rows = []
    for artefact, needed in planned.items():
        done = finished_of(needed, unfinished) if needed else "none needed"
        rows.append([artefact.name, artefact.shows, "by hand" if artefact.by_hand else done])
    runs = {run.folder: run for needed in planned.values() for run in needed}
    rows.append([ALL, "", finished_of(list(runs.values()), unfinished)])
    print_table("", ["name", "shows", "runs finished"], rows, text_columns=2)
    sys.stdout.flush()  # through a pipe too


def finished_of(needed: list[PlannedRun], unfinished: dict[Path, PlannedRun]) -> str:
    """Return in words how many of ``needed`` are finished."""
    return f"{sum(run.folder not in unfinished for run in needed)} of {len(needed)}"


def show_times(
    planned: Planned,
    unfinished: dict[Path, PlannedRun],
    folder: Path,
    device: "torch.device",
    measure: bool,
) -> None:
    """Print how long the rest of each artefact's runs would take."""
    from deepres.report.runs import find_runs
    from deepres.reproduction.cost import in_words, time_left

    how = "by some steps of each network" if measure else "by multiply-adds"
    say(f"estimating {how} how long the rest would take here")
    seconds = time_left(unfinished.values(), find_runs([folder], say), device, measure)
    rows = []
    for artefact, needed in planned.items():
        if rest := [seconds[run.folder] for run in needed if run.folder in seconds]:
            rows.append([artefact.name, in_words(sum(rest))])
    rows.append([ALL, in_words(sum(seconds.values()))])
    print_table("", ["name", "the rest would take here"], rows)
