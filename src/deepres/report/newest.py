"""The newest run, with which the report begins, beside what the paper has for its network."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepres.report.grouping import network_of, what_it_is
from deepres.report.latest import Found, outcome
from deepres.report.measures import MAP_50, TEST, TOP1_10_CROP
from deepres.report.runs import Run
from deepres.report.summary import published_number
from deepres.run_places import comes_with_deepres

SOURCES = (
    (TEST, "test error", "Table 6"),
    (TOP1_10_CROP, "top-1 error by 10 crops", "Tables 2 and 3"),
    (MAP_50, "mAP@.5", "Tables 7 and 8"),
)
"""What the paper measures of its networks, in words, and where it stands."""


@dataclass(frozen=True)
class Newest:
    """A run as the first screen shows it."""

    run: Run
    place: int
    """Among all runs, from 1."""
    own: bool
    """Whether it is the user's: it does not come with deepres."""
    found: Found | None
    """Its most telling number so far; None: there is none yet."""
    length: str
    """How far it is, and what sets it apart from the paper's run."""
    paper: str
    """The paper's number, and its length."""


def by_age(run: Run) -> tuple[bool, float]:
    """A key to sort by: the user's own runs first, and the newest first.

    How old those are that come with deepres, a copy's files do not tell.
    """
    given = comes_with_deepres(run.path)
    return given, 0.0 if given else -run.changed_s


def newest_run(runs: Sequence[Run]) -> Newest | None:
    """Describe the user's newest run, or one that comes with deepres; None: there is no run.

    Args:
        runs: sorted ``by_age``.
    """
    if not runs:
        return None
    run, own = runs[0], not comes_with_deepres(runs[0].path)
    if not own:
        run = next((run for run in runs if run.is_papers and _published(run)), run)
    progress = f"{run.steps:,} steps" if run.result else f"{run.last_step:,} of {run.steps:,} steps"
    kind = "the paper's length and recipe" if run.is_papers else what_it_is(run)
    found = next(iter(outcome(run)), None)
    length = f"{'After' if run.result else 'Under way, after'} {progress}: {kind}."
    return Newest(run, runs.index(run) + 1, own, found, length, _papers_number(run))


def _published(run: Run) -> str:
    """Return what the paper prints for a run's network; nothing: it prints nothing."""
    for measure, words, source in SOURCES:
        number = published_number(measure, network_of(run))
        if number is not None:
            return f"{number:.2f} % {words}, after {run.papers_steps:,} steps ({source})"
    return ""


def _papers_number(run: Run) -> str:
    """Say what the paper has for a run's network, after how many steps."""
    if run.is_fine_tuned:
        return "The paper fine-tunes no classifier."
    if not (printed := _published(run)):
        return f"The paper prints no number for it; its run has {run.papers_steps:,} steps."
    if run.model.startswith("highway"):
        return "The paper quotes a number that was reached by another recipe (Table 6)."
    short = run.steps < run.papers_steps
    return f"The paper: {printed}." + (
        " A run so short is not to be compared with it." if short else ""
    )
