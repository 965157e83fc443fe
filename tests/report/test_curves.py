import math
import re
from pathlib import Path

import pytest
from made_up_runs import SAMPLE, make_detection_run, make_run
from matplotlib.axes import Axes
from svg import texts

from deepres.report.curves import figure1, figure4, figure6, seeds_curve
from deepres.report.read_runs import find_runs, read_run


def legend(axes: Axes) -> list[str]:
    return axes.get_legend_handles_labels()[1]


def styles(axes: Axes) -> set[tuple[str, float]]:
    return {(line.get_linestyle(), line.get_linewidth()) for line in axes.get_lines()}


@pytest.mark.parametrize("figure", [figure1, figure4, figure6])
def test_without_runs_each_panel_names_what_is_missing(figure: object) -> None:
    said = texts(figure([]))
    names = {
        figure1: ["plain-20", "plain-56"],
        figure4: ["plain-18", "plain-34", "ResNet-18", "ResNet-34"],
        figure6: [
            *(f"{kind}-{depth}" for kind in ("plain", "ResNet") for depth in (20, 32, 44, 56)),
            *("ResNet-110", "ResNet-1202"),
        ],
    }[figure]
    below = " ".join(said)
    assert "no run yet: " in below
    for name in names:
        assert re.search(rf"{name}\b", below)


def test_figure1_has_training_left_and_test_right(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "plain20", train_error_pct=2, test_error_pct=9)
    make_run(tmp_path / "b", "plain56", train_error_pct=7, test_error_pct=13)
    left, right = figure1(find_runs([tmp_path])).axes
    assert [line.get_ydata()[-1] for line in left.get_lines()] == [2, 7]
    assert [line.get_ydata()[-1] for line in right.get_lines()] == [9, 13]
    assert left.get_title() == "training error"
    for axes in (left, right):
        assert (axes.get_xlim(), axes.get_ylim()) == ((0, 64_000), (0, 20))  # the paper's
        assert axes.get_xlabel() == "iterations (10⁴)"
        assert legend(axes) == ["plain-20", "plain-56"]


def test_figure6_has_dashed_training_and_bold_test(tmp_path: Path) -> None:
    for network in ("plain20", "resnet20", "resnet110", "resnet1202"):
        make_run(tmp_path / network, network)
    figure = figure6(find_runs([tmp_path]))
    assert [legend(axes) for axes in figure.axes] == [
        ["plain-20"],
        ["ResNet-20", "ResNet-110"],
        ["ResNet-110", "ResNet-1202"],
    ]
    for axes in figure.axes:
        assert styles(axes) == {("--", 0.9), ("-", 2.2)}
    assert "dashed: training error; bold: test error" in texts(figure)


def test_figure4_has_thin_training_and_bold_validation_of_option_a(tmp_path: Path) -> None:
    make_run(tmp_path / "p", "plain34", test_error_pct=30)
    make_run(tmp_path / "a", "resnet34", test_error_pct=27)
    make_run(tmp_path / "b", "resnet34", 1, test_error_pct=26, deviations={"shortcut": "B"})
    left, right = figure4(find_runs([tmp_path])).axes
    assert styles(left) == styles(right) == {("-", 0.9), ("-", 2.2)}
    assert (right.get_xlim(), right.get_ylim()) == ((0, 600_000), (20, 60))
    assert right.get_lines()[1].get_ydata()[-1] == 27  # not the mean of A and B


def test_seeds_are_a_mean_in_a_band(tmp_path: Path) -> None:
    for seed, error in enumerate((8, 9, 13)):
        make_run(tmp_path / str(seed), "plain20", seed, test_error_pct=error)
    _, right = figure1(find_runs([tmp_path])).axes
    (line,), (band,) = right.get_lines(), right.collections
    assert line.get_ydata()[-1] == 10
    assert band.get_paths()[0].get_extents().y0 == 8
    at_end = [y for x, y in band.get_paths()[0].vertices if x == 64_000]
    assert (min(at_end), max(at_end)) == (8, 13)
    assert legend(right) == ["plain-20, mean of 3"]


def test_an_unfinished_run_is_drawn_as_far_as_it_is(tmp_path: Path) -> None:
    make_run(tmp_path / "0", "plain20", 0, stopped_at=16_000)
    make_run(tmp_path / "1", "plain20", 1, test_error_pct=9)
    make_run(tmp_path / "2", "plain56", 0, stopped_at=32_000)
    _, right = figure1(find_runs([tmp_path])).axes
    both, alone = right.get_lines()
    assert (both.get_xdata()[-1], both.get_ydata()[-1]) == (64_000, 9)
    assert alone.get_xdata()[-1] == 32_000
    assert legend(right) == [
        "plain-20, mean of 2, 1 now at step 16,000",
        "plain-56, now at step 32,000",
    ]


def test_a_run_before_its_first_test_stands_in_the_legend(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "plain20", stopped_at=1_600)
    metrics = tmp_path / "a/metrics.jsonl"
    metrics.write_text(metrics.read_text().splitlines(keepends=True)[0])
    assert [event["split"] for event in read_run(run.path).events] == ["train"]
    plain, *_ = figure6([read_run(run.path)]).axes
    assert legend(plain) == ["plain-20, now at step 1,600"]


def test_shortened_runs_say_so_and_get_the_axes_they_need(tmp_path: Path) -> None:
    for network in ("plain20", "plain56"):
        make_run(tmp_path / network, network, steps=300, source=SAMPLE, test_error_pct=55)
    figure = figure1(find_runs([tmp_path]))
    assert "all runs: 300 of 64,000 steps, sample" in texts(figure)
    for axes in figure.axes:
        assert (axes.get_xlim(), axes.get_ylim()) == ((0, 300), (0, 90))
        assert axes.get_xlabel() == "iterations"


def test_by_share_of_the_schedule_a_short_run_is_as_wide_as_a_long_one(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "plain20")
    make_run(tmp_path / "b", "plain56", steps=300)
    runs = find_runs([tmp_path])
    for axes in figure1(runs).axes:
        assert axes.get_xlabel() == "share of the run's own schedule (%)"
        assert axes.get_xlim() == (0, 100)
        assert [line.get_xdata()[-1] for line in axes.get_lines()] == [100, 100]
    for axes in figure1(runs, "steps").axes:
        assert axes.get_xlim() == (0, 64_000)
        assert [line.get_xdata()[-1] for line in axes.get_lines()] == [64_000, 300]


def test_a_marker_at_the_last_step_is_whole(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "plain20", steps=300)
    short, _ = figure1(find_runs([tmp_path])).axes
    (line,) = short.get_lines()
    clip = line.get_clip_box()
    assert clip.x1 > short.bbox.x1
    assert clip.y0 < short.bbox.y0
    make_run(tmp_path / "b", "plain20")
    papers, _ = figure1(find_runs([tmp_path])).axes
    (line,) = papers.get_lines()
    clip = line.get_clip_box()
    assert clip.x1 > papers.bbox.x1
    assert clip.y1 == pytest.approx(papers.bbox.y1)  # the curve comes from above the axes
    assert max(line.get_ydata()) > papers.get_ylim()[1]


def test_a_long_condition_fits_above_the_panels(tmp_path: Path) -> None:
    fields = {"batch_size": 128, "lr": 0.02, "lr_drops": [1_410, 2_115], "short_side": [64, 120]}
    for network in ("plain18", "plain34"):
        make_run(tmp_path / network, network, steps=2_820, deviations=fields, source="tiny")
    figure = figure4(find_runs([tmp_path]))
    figure.draw_without_rendering()
    assert "all runs: 2,820 of 600,000 steps, batches of 128," in figure.get_suptitle()
    heading = figure.texts[0].get_window_extent()
    assert 0 <= heading.x0 < heading.x1 <= figure.bbox.x1


@pytest.mark.parametrize("steps", [3, 40, 300])
def test_steps_are_marked_at_whole_numbers(tmp_path: Path, steps: int) -> None:
    make_run(tmp_path / "a", "plain20", steps=steps)
    axes, _ = figure1(find_runs([tmp_path])).axes
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_runs_of_several_kinds_are_each_labelled(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "plain20")
    make_run(tmp_path / "b", "plain20", 1, steps=300)  # gives way to the paper's
    make_run(tmp_path / "c", "plain56", steps=2_000, deviations={"lr": 0.05})
    left, _ = figure1(find_runs([tmp_path])).axes
    assert legend(left) == ["plain-20", "plain-56, 2,000 of 64,000 steps, learning rate 0.05"]
    assert left.get_ylim() == (0, 80)


def test_detectors_are_not_drawn_as_classifiers(tmp_path: Path) -> None:
    make_detection_run(tmp_path / "a", "resnet34", "folder", source="BCCD trainval")
    assert texts(figure4(find_runs([tmp_path]))) == texts(figure4([]))


def test_seeds_logged_at_different_steps_make_one_smooth_mean(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / str(seed), "plain20", 0) for seed in range(2)]
    metrics = tmp_path / "1/metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(line for i, line in enumerate(lines) if i // 2 % 2))
    steps, errors = seeds_curve([runs[0], read_run(runs[1].path)], "test")
    assert len(steps) == 40
    assert abs(errors[0, 1:] - errors[1, 1:]).max() < 8  # on the line between its neighbours
    assert (errors[0, 1::2] == errors[1, 1::2]).all()
    assert math.isnan(errors[1, 0])  # before its first log
