from pathlib import Path

from made_up_runs import PROVENANCE, SAMPLE, make_run
from svg import texts

from deepres.report.comparison import comparison, labels, recipe_differences, result_differences
from deepres.report.read_runs import find_runs, read_run
from deepres.run_folder import RunFolder


def test_only_what_differs_in_the_recipe(tmp_path: Path) -> None:
    make_run(tmp_path / "a", steps=300, source=SAMPLE)
    make_run(tmp_path / "c", "plain20", 1, steps=300, deviations={"lr": 0.05}, source=SAMPLE)
    table = recipe_differences(find_runs([tmp_path]))
    assert table.columns == ["", "a", "c"]
    assert table.rows == [
        ["model", "resnet20", "plain20"],
        ["lr", "0.1", "0.05"],
        ["seed", "0", "1"],
    ]


def test_the_same_recipe_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    table = recipe_differences([run, run])
    assert (table.rows, table.notes) == ([], ["the recipes are the same"])
    assert labels([run, run]) == [str(run.path)] * 2


def test_results_and_what_they_were_measured_with(tmp_path: Path) -> None:
    make_run(tmp_path / "a", test_error_pct=8.75, train_error_pct=0.5)
    make_run(tmp_path / "b", stopped_at=32_000, test_error_pct=8.0)
    folder = RunFolder(tmp_path / "b")
    folder.write_meta(folder.read_meta() | {"provenance": {**PROVENANCE, "torch": "2.11"}})
    assert result_differences(find_runs([tmp_path])).rows == [
        ["steps done", "64,000", "32,000 of 64,000"],
        ["test error (%)", "8.75", "8.75 at step 32,000"],
        ["training error (%)", "0.50", "1.82 at step 32,000"],
        ["training (s)", "12", "–"],
        ["torch", "2.15.0", "2.11"],
    ]


def test_an_unfinished_run_that_holds_images_out_shows_its_validation_error(tmp_path: Path) -> None:
    make_run(tmp_path / "a", test_error_pct=8.75)
    run = RunFolder(make_run(tmp_path / "b", stopped_at=0).path)
    run.append_event({"step": 1_000, "split": "val", "error_pct": 41.5})
    rows = {row[0]: row[1:] for row in result_differences(find_runs([tmp_path])).rows}
    assert rows["test error (%)"] == ["8.75", "41.50 at step 1,000 (validation error)"]
    assert rows["training error (%)"] == ["1.00", "–"]


def test_runs_of_different_lengths_are_drawn_by_their_share_of_the_schedule(tmp_path: Path) -> None:
    make_run(tmp_path / "a", test_error_pct=9)
    make_run(tmp_path / "b", "plain20", steps=2_000, test_error_pct=30)
    runs = find_runs([tmp_path])
    (axes,) = comparison(runs).axes
    assert axes.get_xlabel() == "share of the run's own schedule (%)"
    assert axes.get_xlim() == (0, 100)
    assert [line.get_xdata()[-1] for line in axes.get_lines()] == [100] * 4
    (axes,) = comparison(runs, "steps").axes
    assert {line.get_xdata()[-1] for line in axes.get_lines()} == {64_000, 2_000}
    (axes,) = comparison(runs[:1], "share").axes
    assert {line.get_xdata()[-1] for line in axes.get_lines()} == {100}


def test_validation_and_test_have_lines_of_their_own(tmp_path: Path) -> None:
    run = RunFolder(make_run(tmp_path / "a", steps=300).path)
    run.append_event({"step": 300, "split": "val", "error_pct": 41.5})
    (axes,) = comparison([read_run(run.path)]).axes
    assert len({line.get_linestyle() for line in axes.get_lines()}) == 3
    assert "dash-dotted: validation" in axes.get_title()


def test_curves_over_each_other(tmp_path: Path) -> None:
    make_run(tmp_path / "resnet20-s0", steps=300, test_error_pct=30)
    make_run(tmp_path / "mine", "plain20", 1, steps=300, deviations={"lr": 0.05})
    figure = comparison(find_runs([tmp_path]))
    said = texts(figure)
    assert "mine, plain20, 300 of 64,000 steps, learning rate 0.05" in said
    assert "resnet20-s0, 300 of 64,000 steps" in said
    assert len(figure.axes[0].get_lines()) == 4
    assert len({line.get_marker() for line in figure.axes[0].get_lines()}) == 2


def test_the_names_of_runs_that_depart_in_much_fit_the_picture(tmp_path: Path) -> None:
    much = {f"field_{i}": [i, 2 * i] for i in range(20)}
    runs = [make_run(tmp_path / "a", deviations=much)]
    runs.append(make_run(tmp_path / "b", deviations=much | {"lr": 0.05}))
    figure = comparison(runs)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legend = axes.get_legend().get_window_extent()
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.x1
    assert 0 <= legend.y0 < legend.y1 < axes.xaxis.label.get_window_extent().y0


def test_what_sets_all_runs_apart_is_said_once(tmp_path: Path) -> None:
    much = {f"field_{i}": [i, 2 * i] for i in range(20)}
    runs = [make_run(tmp_path / name, deviations=much) for name in "ab"]
    figure = comparison(runs)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_legend_handles_labels()[1] == ["a, resnet20", "b, resnet20"]
    assert "all runs: field_0=0,0, field_1=1,2," in axes.get_title()
    heading = axes.title.get_window_extent()
    assert 0 <= heading.x0 < heading.x1 <= figure.bbox.x1
    assert heading.y1 <= figure.bbox.y1


def test_errors_above_the_papers_axes_are_seen(tmp_path: Path) -> None:
    make_run(tmp_path / "a", test_error_pct=9)
    assert comparison(find_runs([tmp_path])).axes[0].get_ylim() == (0, 20)
    make_run(tmp_path / "b", "plain34", test_error_pct=31)
    assert comparison(find_runs([tmp_path])).axes[0].get_ylim() == (0, 40)
    hopeless = make_run(tmp_path / "c", "plain110", test_error_pct=90, train_error_pct=90)
    assert comparison([read_run(hopeless.path)]).axes[0].get_ylim() == (0, 100)
