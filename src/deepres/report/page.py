"""The report: one HTML page that needs nothing but itself."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from deepres.files import atomic_write
from deepres.recipe_words import fields_in_words
from deepres.report.best_curves import BestCurves, best_curves
from deepres.report.claim import judge
from deepres.report.claims import CLAIMS
from deepres.report.class_errors import class_errors
from deepres.report.computed import computed
from deepres.report.detection_artifacts import evidence
from deepres.report.embed import embed, figure_html
from deepres.report.figures import curves_figure
from deepres.report.grouping import comparable, distinct, network_of, what_it_is
from deepres.report.judging import RULE, Verdict
from deepres.report.latest import HELD_OUT, outcome
from deepres.report.names import title
from deepres.report.newest import Newest, by_age, newest_run
from deepres.report.page_words import WORDS
from deepres.report.pictures import svg_text
from deepres.report.recipe_notes import in_short, longest_first, numbered_recipes
from deepres.report.render import as_html
from deepres.report.runs import Run
from deepres.report.summary import STANDINGS, STRIP, JudgedClaim, described, summary_line
from deepres.report.tables import table6_in_short
from deepres.visible import visible

SIGNS: dict[Verdict, str] = {
    "holds": "✓",
    "does not hold": "✗",
    "undecided": "≈",
    "no run yet": "–",
}
AXES = 0.12, 0.15, 0.8, 0.82
"""Where a run's axes are, with room for a wide last number: to have Matplotlib find room takes as
long as to draw, and runs are many."""


@dataclass(frozen=True)
class Section:
    """A table, a figure, or several, under a heading of the page."""

    id: str
    title: str
    html: str
    """With headings from <h3> on; pictures as <svg>. It is trusted. Nothing: it has no run yet."""
    commands: Sequence[str] = ()
    """What fills it, where there is nothing to show."""


def write_page(
    path: Path,
    runs: Iterable[Run],
    sections: Sequence[Section] = (),
    untrained: Iterable[Run] = (),
    left_out: Sequence[str] = (),
) -> Path:
    """Write the report on ``runs`` into ``path``, whole or not at all."""
    page = render_page(runs, sections, untrained, left_out)
    with atomic_write(path) as file:
        file.write(page.encode())
    return path


def render_page(
    runs: Iterable[Run],
    sections: Sequence[Section] = (),
    untrained: Iterable[Run] = (),
    left_out: Sequence[str] = (),
) -> str:
    """Return the report on ``runs`` as HTML; the same runs give the same page.

    Args:
        runs: finished or not. A copy of a finished run is shown once.
        sections: tables and figures, in the order of the page.
        untrained: networks whose signals were measured at initialisation.
        left_out: why runs that there are could not be read, a line each.
    """
    given = list(runs)
    shown = sorted(distinct(given), key=_place)
    shown.sort(key=by_age)
    evidence_of_claims = [*shown, *untrained]
    judged = [JudgedClaim(claim, judge(claim, evidence_of_claims)) for claim in CLAIMS]
    recipes = numbered_recipes(shown)
    newest, best = newest_run(shown), best_curves(shown)
    template = _environment().get_template("page.html.jinja")
    page = template.render(
        newest=newest,
        newest_curve=_newest_curve(newest),
        best=best,
        pictures=_pictures(best, in_short(best.caption, recipes)) if best else [],
        judged=judged,
        lines=[summary_line(each, shown) for each in judged],
        table6=_table6(shown),
        left_out=left_out,
        copies=len(given) - len(shown),
        finished=[run for run in shown if run.result],
        papers=[run for run in shown if run.is_papers],
        numbered=recipes,
        groups=[_overview(list(group.values())) for group in comparable(shown)],
        sections=[(s, Markup(embed(s.html, s.id, s.title))) for s in sections if s.html],
        to_fill=[section for section in sections if not section.html],
        runs=shown,
        curves=[_curves(run, f"run-{i}") for i, run in enumerate(shown, start=1)],
        classes=[class_errors(run) for run in shown],
        evidence=[_evidence(run, f"evidence-{i}") for i, run in enumerate(shown, start=1)],
        recipes=[_recipe(run) for run in shown],
    )
    return visible(page)


@cache
def _environment() -> Environment:
    """Return what reads the page's template, which is compiled once."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "page_template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {each.__name__: each for each in (*WORDS, described, computed)}
    environment.filters |= {"title_of": title, "fields_in_words": fields_in_words}
    environment.filters |= {"in_short": _in_short, "in_short_html": _in_short_html}
    environment.globals |= {"what_it_is": what_it_is, "outcome": outcome}
    environment.globals |= {"signs": SIGNS, "rule": RULE, "standings": STANDINGS, "strip": STRIP}
    return environment


def _place(run: Run) -> tuple[str, str, int, str, bool, str, int]:
    """Where a run stands among others: by task, network, depth, and nearness to the paper's."""
    family, depth = re.fullmatch(r"(\D*)(\d*).*", run.model).groups()  # type: ignore[union-attr]
    task = "" if run.is_classifier else run.kind
    network = family, int(depth or 0), run.label
    return task, *network, not run.is_papers, run.condition, run.meta["seed"]


def _overview(networks: list[Sequence[Run]]) -> tuple[str, str]:
    """Say what runs that may be compared are, and which networks there are."""
    parts = []
    for runs in sorted(networks, key=lambda same: _place(same[0])):
        unfinished = sum(run.result is None for run in runs)
        name = title(network_of(runs[0])) + (f" × {len(runs)}" if len(runs) > 1 else "")
        parts.append(name + (f" ({unfinished} unfinished)" if unfinished else ""))
    return what_it_is(networks[0][0]), ", ".join(parts)


@pass_context
def _in_short(page: Context, text: str) -> str:
    """Return ``text`` with the number of its note in place of each long recipe."""
    return in_short(text, page["numbered"])


@pass_context
def _in_short_html(page: Context, text: str) -> Markup:
    """Return ``text`` with a link to its note in place of each long recipe."""
    html, recipes = escape(text), page["numbered"]
    for recipe in longest_first(recipes):
        n = recipes[recipe]
        link = Markup('<a href="#recipe-{0}">recipe {0}</a>').format(n)
        html = html.replace(escape(recipe), link)
    return html


def _newest_curve(newest: Newest | None) -> Markup | None:
    """Return the newest run's curves, low and wide; None: nothing is logged yet."""
    if newest is None or not newest.run.events:
        return None
    figure = curves_figure(newest.run)
    if newest.run.is_classifier:
        figure.set_size_inches(5.8, 2.0)
    words = f"The newest run, {newest.run.label}: its curves so far"
    return Markup(embed(svg_text(figure), "newest", words))


def _pictures(best: BestCurves, caption: str) -> list[Markup]:
    """Return the panels of the large picture."""
    return [
        Markup(embed(svg_text(figure), f"best-{i}", f"{caption} {heading}."))
        for i, (heading, figure) in enumerate(best.panels.items(), start=1)
    ]


def _table6(runs: Sequence[Run]) -> Markup | None:
    """Return Table 6 in short; None: no run of the paper's length belongs there."""
    table = table6_in_short(runs)
    return Markup(embed(as_html(table), "table6-in-short", table.title)) if table.rows else None


def _curves(run: Run, name: str) -> Markup | None:
    """Return a run's curves; None: nothing is logged yet."""
    if not run.events:
        return None
    if run.kind == "detection":
        what = "training losses and precision"
        caption = "Above: training losses; below: precision on the images that are watched."
    else:
        tested = [words for split, words in HELD_OUT.items() if run.curve(split)[0]] or ["test"]
        what = f"training and {' and '.join(tested)} error"
        looks = {"test": "bold: test", "validation": "dash-dotted: validation"}
        caption = f"Dashed: training error; {'; '.join(looks[each] for each in tested)} error."
        if not run.is_classifier:  # whose validation images are some of the test's
            caption += " Validation is on the test images that are watched, the test on all."
    words = f"{run.label}, seed {run.meta['seed']}: {what} against steps"
    figure = curves_figure(run)
    if len(figure.axes) == 1:
        figure.set_layout_engine(None)
        figure.axes[0].set_position(AXES)
    picture = figure_html(svg_text(figure), caption)
    return Markup(embed(picture, name, words))


def _evidence(run: Run, name: str) -> Markup | None:
    """Return what a detector's or localizer's tests have left; None: nothing."""
    if run.is_classifier:
        return None
    return Markup(embed(evidence(run), name, f"{run.label}, seed {run.meta['seed']}: tests"))


def _recipe(run: Run) -> list[tuple[str, Any, str]]:
    """Return field, value and remark of a run's recipe, the differences from the paper's first."""
    recipe = run.meta["recipe"]
    remarks = {}
    scaled = recipe["scaled_from"] not in (None, recipe["steps"])
    if scaled and not run.is_fine_tuned:  # that length is not the paper's
        remarks = {"steps": f"the paper's: {run.papers_steps:,}"}
        remarks |= {"lr_drops": "scaled with the length"}
    remarks |= dict.fromkeys(run.meta["deviations"], "not the paper's")
    fields = [*remarks, *(field for field in recipe if field not in remarks)]
    return [(field, recipe[field], remarks.get(field, "")) for field in fields if field in recipe]
