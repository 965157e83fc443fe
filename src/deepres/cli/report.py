"""deepres report: one page on all runs."""

import argparse
import webbrowser
from dataclasses import replace
from html import escape
from pathlib import Path

from deepres.cli.terminal import say, show
from deepres.errors import UserError, no_such
from deepres.files import check_ours, check_places
from deepres.report.benchmarks import RESULTS, benchmarks_html
from deepres.report.page import Section, write_page
from deepres.report.pictures import svg_text
from deepres.report.read_runs import find_runs
from deepres.report.render import Table, as_html
from deepres.report.runs import Run
from deepres.report.untrained import find_untrained
from deepres.report.x_axis import XAxis
from deepres.reproduction.artefacts import ARTEFACTS, Artefact
from deepres.reproduction.draw import draw, what_fills
from deepres.run_places import RUNS, results_folder


def call(options: argparse.Namespace) -> int:
    """Write the page, and say where it is."""
    out = options.out or Path("report.html")
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out is the page's name and must end in .html, got {out}")
    if not options.out:
        check_ours(out)
    check_places(out)
    folders = _folders(options.runs)
    left_out: list[str] = []
    runs = find_runs(folders, left_out.append)
    untrained = find_untrained(folders, left_out.append)
    for why in left_out:
        say(f"left out: {why}")
    benchmarks = _benchmarks(options.benchmarks)
    finished = sum(run.result is not None for run in runs)
    sections = [_section(artefact, runs, options.x_axis) for artefact in ARTEFACTS]
    page = write_page(out, runs, [*sections, *benchmarks], untrained, left_out)
    show(f"report on {len(runs)} runs, {finished} of them finished: {page}")
    if options.open and not webbrowser.open(page.resolve().as_uri()):
        raise UserError(f"no browser to be found; open {page} yourself")
    return 0


def _section(artefact: Artefact, runs: list[Run], x_axis: XAxis | None) -> Section:
    """Draw a table or figure of the paper, from all runs that have a part in it."""
    heading = artefact.shows[:1].upper() + artefact.shows[1:]
    if artefact.is_numbered:
        heading = f"{artefact.title}: {artefact.shows}"
    try:
        drawn = draw(artefact.name, runs, x_axis)
    except UserError as error:  # the others need not wait
        say(f"{artefact.title} is left out: {error}")
        return Section(artefact.name, heading, f"<p>{escape(str(error))}</p>")
    if commands := what_fills(artefact, drawn):
        return Section(artefact.name, heading, "", commands)
    if isinstance(drawn, Table):
        caption = drawn.title.removeprefix(f"{artefact.title}: ")
        return Section(artefact.name, heading, as_html(replace(drawn, title=caption)))
    return Section(artefact.name, heading, svg_text(drawn))


def _benchmarks(folder: Path | None) -> list[Section]:
    """Show what benchmarks have measured, if they have."""
    if folder and not folder.is_dir():
        raise UserError(f"--benchmarks {no_such('folder', folder)}")
    try:
        shown = benchmarks_html(folder or RESULTS)
    except UserError as error:
        if folder:
            raise
        say(f"benchmarks are left out: {error}")  # nobody has asked for them
        return []
    return [Section("benchmarks", "Benchmarks: deepres against its peers", shown)] if shown else []


def _folders(folders: list[Path] | None) -> list[Path]:
    """Return the folders that hold runs: those given, or those that are usual."""
    for folder in folders or []:
        if (folder / "recipe.json").exists():
            raise UserError(f"{folder} is itself a run; give the folder it is in: {folder.parent}")
        if not folder.is_dir():
            raise UserError(f"--runs {no_such('folder', folder)}")
    return folders or [RUNS, results_folder()]
