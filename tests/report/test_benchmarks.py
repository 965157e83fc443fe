import json
import re
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import PROVENANCE
from svg import texts

from deepres.errors import UserError
from deepres.report.benchmarks import HEADINGS, benchmarks_html, scaling_figure, summary_table

ROOT = Path(__file__).parents[2]


def spread(median: float) -> dict[str, float]:
    return {"median": median, "min": median - 1, "max": median + 2, "n": 3}


RESULTS: dict[str, Any] = {
    "provenance": PROVENANCE,
    "batch": 8,
    "megapixels": 0.19419514400000001,
    "torchvision": "0.29.2",
    "summary": {
        "them": {"images_per_s": spread(1500), "times them": spread(1.25)},
        "ours": {"images_per_s": spread(30.5), "times them": spread(2), "times it": spread(3)},
    },
    "share of matmul": {"them": [0.5, 0.9, 0.75], "ours": [0.25, 0.75], "skipped": []},
    "turns": [{"them": {"images_per_s": 9.0}}],
}
LINE = {
    "against": "layers",
    "of": "batches of 128",
    "sizes": [20, 56],
    "step_s": [{"median": 0.25, "min": 0.125, "max": 0.5, "n": 3}, spread(2)],
    "start_s": 0.01,
    "slope_s": 0.005,
}


def test_a_table_has_medians_ranges_n_and_where_they_come_from() -> None:
    table = summary_table(RESULTS)
    assert table.columns == ["", "images/s", "times them", "times it", "share of matmul", "n"]
    assert list(map(list, table.rows)) == [
        ["them", "1,500 (1,499–1,502)", "1.25 (0.25–3.25)", "–", "0.75 (0.50–0.90)", "3"],
        [
            "ours",
            "30.5 (29.5–32.5)",
            "2.00 (1.00–4.00)",
            "3.00 (2.00–5.00)",
            "0.50 (0.25–0.75)",
            "3",
        ],
    ]
    assert table.notes == [
        "With batch 8, megapixels 0.1942, torchvision 0.29.2.",
        "Measured by deepres 0.1.0 (abc123), torch 2.15.0, on AMD EPYC, 2 threads.",
    ]


def test_the_line_is_drawn_through_the_points() -> None:
    figure = scaling_figure([LINE, LINE | {"against": "images", "of": "resnet20"}])
    left = figure.axes[0]
    fitted, points = left.get_lines()[:2]
    assert list(fitted.get_ydata()) == pytest.approx([10, 10 + 5 * 56])
    assert list(fitted.get_xdata()) == [0, 56]
    assert list(points.get_xdata()) == [20, 56]
    assert list(points.get_ydata()) == [250, 2000]
    (bars,) = left.collections
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [
        [125, 500],
        [1000, 4000],
    ]
    said = texts(figure)
    assert {"layers", "batches of 128", "10 ms + 5 ms for each layer"} <= set(said)
    assert {"images", "resnet20", "10 ms + 5 ms for each image"} <= set(said)


def test_all_files_of_a_folder_are_shown_or_named(tmp_path: Path) -> None:
    assert benchmarks_html(tmp_path / "nowhere") == ""
    lines = {"provenance": PROVENANCE, "scaling": [LINE], "precision": "bf16"}
    files = {"scaling-bf16-amd-epyc": lines, "a<b_c-amd-epyc": RESULTS}
    files["old"] = {"provenance": PROVENANCE}
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    shown = benchmarks_html(tmp_path)
    assert re.findall("<h3>(.*?)</h3>", shown) == [
        "A&lt;b c, on AMD EPYC, 2 threads",
        "A training step&#x27;s time against depth and batch, bf16, on AMD EPYC, 2 threads",
    ]

    assert (shown.count("<table>"), shown.count("<svg")) == (1, 1)
    assert "<p>Without a summary, and not shown: old.json.</p>" in shown


def test_every_benchmark_has_a_heading() -> None:
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    names -= {"turns", "pil_images"}  # what they share
    assert names == set(HEADINGS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "was not written by a benchmark"),
        ('{"summary": {}}', "was not written by a benchmark"),
        ('{"provenance": {}, "summary": {}}', "was written by another version of its benchmark"),
    ],
)
def test_what_is_no_result_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match=rf"x\.json {message}"):
        benchmarks_html(tmp_path)
