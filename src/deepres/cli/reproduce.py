"""deepres reproduce: the paper's tables and figures, published value and ours side by side."""

import argparse
from functools import partial
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.terminal import DATA_HELP, open_data, print_table, say
from deepres.distributed import is_leader
from deepres.errors import UserError
from deepres.report.runs import find_runs
from deepres.reproduction.artefacts import ARTEFACTS, Artefact, find_artefacts
from deepres.reproduction.carry_out import carry_out
from deepres.reproduction.cost import logged_speed, measured_speed, seconds_left
from deepres.reproduction.draw import draw
from deepres.reproduction.plan import PlannedRun, plan
from deepres.runtime import resolve_device


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "reproduce", help="bring about a table or figure of the paper: train what it needs, draw it"
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="tables and figures, e.g. table6, figure1 or 'figure*' (see --list)",
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="say what there is, what is missing, and how long that would take here",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="shorten every run to so many steps")
    length.add_argument(
        "--scale", type=float, help="shorten every run to this share of its steps, e.g. 0.02"
    )
    parser.add_argument("--seeds", type=int, default=1, help="runs of each network (default: 1)")
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="where runs lie (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("reproduced"),
        help="where tables and figures are written (default: %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--workers", type=int, help="processes that decode images (default: one a core, up to 8)"
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Train what is missing, and draw; or list what there is."""
    if not options.names and not options.list:
        raise UserError("name a table or figure, e.g. deepres reproduce figure1, or ask: --list")
    artefacts = find_artefacts(options.names) if options.names else list(ARTEFACTS)
    planned = partial(
        plan, runs=options.runs, steps=options.steps, scale=options.scale, seeds=options.seeds
    )
    if options.list:
        _list(artefacts, planned, options)
        return 0
    runs = planned(artefacts)
    names = " ".join(artefact.name for artefact in artefacts)
    carry_out(
        names,
        runs,
        lambda kind: open_data(options.data, kind),
        device=options.device,
        workers=options.workers,
        say=say,
    )
    if is_leader():
        for artefact in artefacts:
            drawn = draw(artefact, [run.folder for run in planned([artefact])], options.out)
            print("\n".join(drawn))
    return 0


def _list(
    artefacts: list[Artefact], planned: "partial[list[PlannedRun]]", options: argparse.Namespace
) -> None:
    """Print each artefact, how many of its runs are finished, and what the rest would take."""
    device = resolve_device(options.device)
    there = find_runs([options.runs])
    speeds: dict[tuple[str, str], float] = {}
    rows, all_runs = [], {}
    for artefact in artefacts:
        runs = planned([artefact])
        for run in runs:
            key = (run.recipe.model, str(run.recipe.model_options()))
            if run.state() != "finished" and key not in speeds:
                known = logged_speed(run.recipe.model, there, device)
                speeds[key] = known or measured_speed(run.recipe, device)
            left = 0.0 if run.state() == "finished" else seconds_left(run, speeds[key])
            all_runs[run.folder] = left
        missing = [run.folder.name for run in runs if run.state() != "finished"]
        seconds = sum(all_runs[run.folder] for run in runs)
        rows.append(
            [
                artefact.name,
                artefact.shows,
                ", ".join(missing) if len(missing) <= 3 else f"{len(missing)} runs",
                f"{len(runs) - len(missing)} of {len(runs)}" if runs else "–",
                _in_words(seconds) if missing else "–",
            ]
        )
    rows.append(["all", "", "", "", _in_words(sum(all_runs.values()))])
    columns = ["name", "shows", "missing", "runs finished", "would take here"]
    print_table("", columns, rows, text_columns=3)


def _in_words(seconds: float) -> str:
    """Return a time as people say it."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            count = seconds / length
            return f"{count:.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"
    return f"{seconds:.0f} s"
