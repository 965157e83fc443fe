"""deepres reproduce: the paper's tables and figures, published value and ours side by side."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepres.cli.reproduce_list import planner
from deepres.cli.terminal import open_data, say, show
from deepres.cli.training import execution_of
from deepres.errors import UserError
from deepres.files import check_ours, check_writable
from deepres.recipes import ImageNetRecipe
from deepres.report.read_runs import find_runs, read_run
from deepres.report.render import Table, as_text
from deepres.reproduction.artefacts import Artefact, find_artefacts
from deepres.reproduction.cost import in_words, time_left
from deepres.reproduction.draw import draw, files_of, save
from deepres.reproduction.execute_plan import execute_plan
from deepres.reproduction.measure import measure_ensemble
from deepres.reproduction.plan import PlannedRun
from deepres.torchrun import is_leader
from deepres.training.interrupt import Interrupted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def call(options: argparse.Namespace) -> int:
    """Train what is missing, and draw."""
    if options.measure:
        raise UserError("--measure is for --list: give both")
    if not options.names:
        raise UserError("name a table or figure, e.g. deepres reproduce figure1, or ask: --list")
    artefacts = find_artefacts(options.names)
    planned = planner(options, artefacts)
    execution = execution_of(options)
    if is_leader():  # before a download, and days of training
        check_writable(options.out)
        for run in planned(artefacts):
            if run.state() != "finished":
                check_writable(run.folder)
    data = cache(partial(open_data, options.data))
    artefacts = possible({each: planned([each]) for each in artefacts}, data)
    for artefact in artefacts:
        for file in files_of(artefact.name, options.out):
            check_ours(file)
    for artefact in [each for each in artefacts if not each.studies and not each.by_hand]:
        if is_leader():  # at once: what follows may take days
            _save(artefact, draw(artefact.name, []), options.out)
        artefacts.remove(artefact)
    if not artefacts:
        return 0
    label = artefacts[0].name if len(artefacts) == 1 else "reproduce"
    runs = planned(artefacts)
    if is_leader() and (left := [run for run in runs if run.state() != "finished"]):
        seconds = time_left(left, find_runs([options.runs], say), execution.device)
        say(f"to train: {len(left)} of {len(runs)} runs, about {in_words(sum(seconds.values()))}")
    try:
        execute_plan(label, runs, data, execution)
    except Interrupted:
        say("the same command goes on where this one stopped")
        raise
    if not is_leader():
        return 0
    for artefact in artefacts:
        if artefact.name == "table5":
            six = [run.folder for run in planned([artefact], seeds=1)]
            measure_ensemble(six, data(ImageNetRecipe.kind), "multi-scale", execution)
        if artefact.by_hand:
            own = find_runs([options.runs], say)
        else:
            own = [read_run(run.folder) for run in planned([artefact])]
        _save(artefact, draw(artefact.name, own), options.out)
    return 0


def possible(
    planned: Mapping[Artefact, Sequence[PlannedRun]], data: Callable[[str], object]
) -> list[Artefact]:
    """Return the artefacts whose runs the data can give, and say which are left out.

    Args:
        planned: each artefact's runs.
        data: returns the data for a kind of recipe.

    Raises:
        UserError: none is left.
    """
    missing: dict[str, UserError] = {}
    for kind in dict.fromkeys(run.recipe.kind for runs in planned.values() for run in runs):
        try:
            data(kind)
        except UserError as error:
            missing[kind] = error
    lacking = {
        artefact: [missing[run.recipe.kind] for run in runs if run.recipe.kind in missing]
        for artefact, runs in planned.items()
    }
    if errors := [errors[0] for errors in lacking.values() if errors]:
        if len(errors) == len(planned):
            raise errors[0]
        for artefact in [each for each in planned if lacking[each]]:
            say(f"{artefact.name} is left out: {lacking[artefact][0]}")
    return [artefact for artefact in planned if not lacking[artefact]]


def _save(artefact: Artefact, drawn: "Table | Figure", folder: Path) -> None:
    try:
        files = save(drawn, artefact.name, folder)
    finally:
        if isinstance(drawn, Table):
            show(as_text(drawn))
    show(f"{artefact.name}: {' '.join(map(str, files))}")
