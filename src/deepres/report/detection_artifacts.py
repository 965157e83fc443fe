"""What the page shows of a detector besides its curves: tests, precision and recall, pictures."""

import base64
import html
import io
from collections.abc import Mapping

from PIL import Image

from deepres.report.detection_figures import PrecisionCurve, precision_recall
from deepres.report.detection_runs import Test
from deepres.report.embed import figure_html
from deepres.report.pictures import svg_text
from deepres.report.render import Table, as_html
from deepres.report.runs import PRECISIONS, Run
from deepres.run_folder import DETECTIONS, EVALUATIONS, PR_CURVES
from deepres.visible import in_a_line

NUMBERS = PRECISIONS | {"top5_error_pct": "top-5 error", "top1_error_pct": "top-1 error"}
"""What a test finds, in words."""
WIDTH = 1600
"""Pixels across, at most, of the pictures on the page."""


def evidence(run: Run) -> str:
    """Return the tests of a run as a table, its curves and its pictures, as HTML; or nothing.

    Of a picture or curves that are damaged it says so.
    """
    parts = []
    if tests := run.side_file(EVALUATIONS):
        parts.append(as_html(_tests(run, tests)))
    curves, test = _curves(run)
    if curves:
        if any(len(each["recall"]) != len(each["precision"]) for each in curves.values()):
            parts.append(f"<p>{PR_CURVES} is damaged: test the detector again.</p>")
        else:
            caption = "Precision against recall, and the average precision in %, of each class."
            parts.append(figure_html(svg_text(precision_recall(curves)), f"{caption}{test}"))
    if (run.path / DETECTIONS).is_file():
        try:
            picture, test = _picture(run, f"Objects found by {run.label}")
        except Exception:  # a damaged file can fail anywhere in a decoder
            parts.append(f"<p>{DETECTIONS} is damaged: test the detector again.</p>")
        else:
            caption = "Test images: what was annotated, and what was found."
            parts.append(figure_html(picture, f"{caption}{test}"))
    return "\n".join(parts)


def _tests(run: Run, tests: list[dict[str, object]]) -> Table:
    keys = [key for key in NUMBERS if any(key in test for test in tests)]
    rows = []
    for test in tests:
        with_what = [*_words(test, "improvements"), *_words(test, "views")]
        with_what += [f"{each} classes" for each in _words(test, "classes")]
        if members := _words(test, "members"):
            with_what.append(f"ensemble of {len(members)}")
        numbers = [f"{test[key]:.2f}" if key in test else "–" for key in keys]
        rows.append(
            [Test(run, test).set, f"{test['images']:,}", ", ".join(with_what) or "–", *numbers]
        )
    columns = ["tested on", "images", "with", *(f"{NUMBERS[key]} (%)" for key in keys)]
    numbers_at = frozenset({1, *range(3, len(columns))})
    return Table("Tests", columns, rows, numbers=numbers_at)


def _words(test: dict[str, object], key: str) -> list[str]:
    value = test.get(key, [])
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _curves(run: Run) -> tuple[Mapping[str, PrecisionCurve], str]:
    """Return a run's curves by class, and a sentence on which test they are of."""
    content = run.side_file(PR_CURVES) or {}
    if isinstance(test := content.get("test"), str):
        return content["classes"], _of_test(test)
    return content, ""  # a file of before names no test


def _of_test(test: str) -> str:
    return f" Of the test {in_a_line(test)}." if test else ""


def _picture(run: Run, description: str) -> tuple[str, str]:
    """Return a run's pictures as an <img> that holds them itself, and which test they are of."""
    with Image.open(run.path / DETECTIONS) as file:
        picture, test = file.convert("RGB"), str(file.info.get("Description", ""))
    picture.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "WEBP", quality=80)
    data = base64.b64encode(content.getvalue()).decode()
    shown = f'<img alt="{html.escape(description)}" src="data:image/webp;base64,{data}">'
    return shown, _of_test(test)
