"""What deepres evaluate has found, as tables or as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepres.cli.class_tables import print_by_class
from deepres.cli.terminal import print_json, print_table, show
from deepres.evaluation.scores import Scores


@dataclass(frozen=True)
class Found:
    """What a test of networks has found."""

    views: str
    """What the networks saw of an image."""
    source: str
    """What they were tested on, in words."""
    classes: tuple[str, ...]
    members: Sequence[tuple[str, Scores]]
    """The networks, as they were named, and what each found."""
    scores: Scores
    """The mean of the networks'."""


def show_found(found: Found, written: Mapping[str, Path]) -> None:
    """Print errors, the worst classes, and where files were written, as tables.

    Args:
        found: by the test.
        written: the files, by what they are.
    """
    members, scores = found.members, found.scores
    together = [(f"ensemble of {len(members)}", scores)] if len(members) > 1 else []
    errors = [[name, *_in_words(each)] for name, each in (*members, *together)]
    columns = [f"{found.views}, {found.source}", "top-1 error (%)", "top-5 error (%)"]
    print_table("", columns, errors)
    if scores.known:
        by_class = [*zip(found.classes, scores.class_errors_pct().tolist(), strict=True)]
        print_by_class("error (%)", by_class, 2, lambda error: -error if error >= 0 else 1)
    for what, path in written.items():
        show(f"{what}: {path}")


def print_found(found: Found, written: Mapping[str, Path]) -> None:
    """Print the same as JSON, with all classes; null stands for what is not known."""
    members, scores = found.members, found.scores
    by_class = scores.class_errors_pct().tolist() if scores.known else []
    print_json(
        {
            "views": found.views,
            "data": found.source,
            "images": len(scores.names),
            "networks": [{"weights": name, **_errors(each)} for name, each in members],
            "ensemble": _errors(scores) if len(members) > 1 else None,
            "classes": [
                {"class": name, "error_pct": error}
                for name, error in zip(found.classes, by_class, strict=scores.known)
            ],
            "files": {what.replace(" ", "_"): str(path) for what, path in written.items()},
        }
    )


def _errors(scores: Scores) -> dict[str, Any]:
    if not scores.known:
        return {"top1_error_pct": None, "top5_error_pct": None}
    return {"top1_error_pct": scores.error_pct(1), "top5_error_pct": scores.error_pct(5)}


def _in_words(scores: Scores) -> list[str]:
    return ["unknown" if error is None else f"{error:.2f}" for error in _errors(scores).values()]
