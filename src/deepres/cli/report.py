"""deepres report: one page on all runs."""

import argparse
import webbrowser
from pathlib import Path

from deepres.errors import UserError
from deepres.report.benchmarks import RESULTS, benchmarks_html
from deepres.report.page import Section, write_page
from deepres.report.pictures import svg_text
from deepres.report.render import Table, as_html
from deepres.report.runs import Run, find_runs
from deepres.report.untrained import find_untrained
from deepres.reproduction.artefacts import ARTEFACTS, Artefact
from deepres.reproduction.draw import draw
from deepres.run_folder import results_folder

RUNS = Path("runs")


def call(options: argparse.Namespace) -> int:
    """Write the page, and say where it is."""
    if options.out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out is the page's name and must end in .html, got {options.out}")
    folders = _folders(options.runs)
    runs = find_runs(folders)
    finished = sum(run.result is not None for run in runs)
    sections = [_section(artefact, runs) for artefact in ARTEFACTS]
    sections += _benchmarks(options.benchmarks)
    page = write_page(options.out, runs, sections, find_untrained(folders))
    print(f"report on {len(runs)} runs, {finished} of them finished: {page}")
    if options.open and not webbrowser.open(page.resolve().as_uri()):
        raise UserError(f"no browser to be found; open {page} yourself")
    return 0


def _section(artefact: Artefact, runs: list[Run]) -> Section:
    """Draw a table or figure of the paper, from all runs that have a part in it."""
    drawn = draw(artefact.name, runs)
    html = as_html(drawn) if isinstance(drawn, Table) else svg_text(drawn)
    return Section(artefact.name, f"{artefact.title}: {artefact.shows}", html)


def _benchmarks(folder: Path | None) -> list[Section]:
    """Show what benchmarks have measured, if they have."""
    if folder and not folder.is_dir():
        raise UserError(f"--benchmarks {folder}: no such folder")
    shown = benchmarks_html(folder or RESULTS)
    return [Section("benchmarks", "Benchmarks: deepres against its peers", shown)] if shown else []


def _folders(folders: list[Path] | None) -> list[Path]:
    """Return the folders that hold runs: those given, or those that are usual."""
    for folder in folders or []:
        if (folder / "recipe.json").exists():
            raise UserError(f"{folder} is itself a run; give the folder it is in: {folder.parent}")
        if not folder.is_dir():
            raise UserError(f"--runs {folder}: no such folder")
    return folders or [RUNS, results_folder()]
