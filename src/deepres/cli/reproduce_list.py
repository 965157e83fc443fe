"""deepres reproduce --list: each table and figure, what is there, and how long the rest takes."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepres.cli.terminal import print_table, say
from deepres.errors import UserError
from deepres.reproduction.artefacts import ARTEFACTS, Artefact, find_artefacts
from deepres.reproduction.plan import PlannedRun, plan
from deepres.run_places import results_folder

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
    given = names_of_finished(planned_of(artefacts, runs=results_folder()))
    show_what_there_is(planned, unfinished, given)
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


def names_of_finished(runs: Iterable[PlannedRun]) -> set[str]:
    """Return the names of the finished ones of ``runs``; a run of another recipe is none."""
    names = set()
    for run in runs:
        with suppress(UserError):
            if run.state() == "finished":
                names.add(run.folder.name)
    return names


def show_what_there_is(
    planned: Planned, unfinished: dict[Path, PlannedRun], given: set[str]
) -> None:
    """Print each artefact, how many of its runs are finished, and how many come with deepres.

    Args:
        planned: each artefact's runs.
        unfinished: those of them that are not finished, by folder.
        given: the names of those that come with deepres.
    """

    def counts(needed: Sequence[PlannedRun]) -> list[str]:
        finished = sum(run.folder not in unfinished for run in needed)
        of_deepres = sum(run.folder.name in given for run in needed)
        return [f"{finished} of {len(needed)}", str(of_deepres)]

    rows = []
    for artefact, needed in planned.items():
        none = ["by hand" if artefact.by_hand else "none needed", "–"]
        rows.append([artefact.name, artefact.shows, *(counts(needed) if needed else none)])
    runs = {run.folder: run for needed in planned.values() for run in needed}
    rows.append([ALL, "", *counts(list(runs.values()))])
    print_table("", ["name", "shows", "runs finished", "come with deepres"], rows, text_columns=2)
    sys.stdout.flush()  # through a pipe too


def show_times(
    planned: Planned,
    unfinished: dict[Path, PlannedRun],
    folder: Path,
    device: "torch.device",
    measure: bool,
) -> None:
    """Print how long the rest of each artefact's runs would take."""
    from deepres.report.read_runs import find_runs
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
