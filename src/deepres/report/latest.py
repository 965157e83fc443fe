"""What a run has found so far: its final numbers, or the latest that it has logged."""

from typing import NamedTuple

from deepres.report.runs import OUTCOMES, Run

HELD_OUT = {"test": "test", "val": "validation"}
"""The images that a run is tested on as it goes, in words."""


class Found(NamedTuple):
    """A number in %, and after which step it was found."""

    words: str
    """What it is: "test error"."""
    pct: float
    step: int


def latest(run: Run, key: str) -> Found | None:
    """Return the number that result.json calls ``key``, or what was logged of it last.

    As it goes, a detector and a run that holds images out are tested on validation images.
    """
    if run.result is not None:
        known = key in run.result
        return Found(OUTCOMES[key], float(run.result[key]), run.steps) if known else None
    split, _, measure = key.partition("_")
    for each in HELD_OUT if split == "test" else [split]:
        steps, values = run.curve(each, measure)
        if steps:
            words = OUTCOMES[key].replace("test", HELD_OUT.get(each, "test"))
            return Found(words, values[-1], steps[-1])
    return None


def outcome(run: Run) -> list[Found]:
    """Return all that there is of ``OUTCOMES``, the most telling first."""
    return [found for key in OUTCOMES if (found := latest(run, key))]
