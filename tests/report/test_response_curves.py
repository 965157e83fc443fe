from pathlib import Path

import pytest
from made_up_runs import make_run
from svg import texts

from deepres.errors import UserError
from deepres.report.measures import response
from deepres.report.read_runs import find_runs
from deepres.report.response_curves import figure7


def responses(*std: float, **others: object) -> dict[str, object]:
    layers = [f"layer{i}" for i in range(len(std))]
    measured = {"layers": layers, "std": list(std), "images": 1_000}
    return {**measured, "data": "CIFAR-10", "provenance": {}, **others}


def test_layers_in_order_on_top_and_sorted_below(tmp_path: Path) -> None:
    make_run(tmp_path / "p", "plain20", responses=responses(1, 3, 2))
    make_run(tmp_path / "r0", "resnet20", 0, responses=responses(0.5, 0.25, 1))
    make_run(tmp_path / "r1", "resnet20", 1, responses=responses(0.75, 0.25, 2))
    make_run(tmp_path / "r2", "resnet56")  # not measured
    figure = figure7(find_runs([tmp_path]))
    top, bottom = figure.axes
    assert [list(line.get_ydata()) for line in top.get_lines()] == [[1, 3, 2], [0.625, 0.25, 1.5]]
    assert [list(line.get_ydata()) for line in bottom.get_lines()] == [
        [3, 2, 1],
        [1.5, 0.625, 0.25],
    ]
    assert [line.get_linestyle() for line in top.get_lines()] == ["--", "-"]
    said = texts(figure)
    assert {"plain-20", "ResNet-20, mean of 2", "layer"} <= set(said)
    assert "no responses yet: plain-56, ResNet-56," in said
    (legend,) = figure.legends
    figure.draw_without_rendering()
    below = legend.get_window_extent()
    assert all(below.y1 < axes.get_window_extent().y0 for axes in figure.axes)
    for axes in figure.axes:
        assert all(tick == int(tick) for tick in axes.get_xticks())


@pytest.mark.parametrize("others", [{"images": 999}, {"steps": 2_000}])
def test_what_was_measured_on_few_images_or_of_old_weights_is_not_drawn(
    tmp_path: Path, others: dict[str, object]
) -> None:
    run = make_run(tmp_path / "r", "resnet20", responses=responses(1, 3, 2, **others))
    said = " ".join(texts(figure7([run])))
    assert "no responses yet: plain-20, plain-56, ResNet-20" in said
    assert response(run) is None


def test_other_runs_say_what_they_are(tmp_path: Path) -> None:
    make_run(tmp_path / "p", "plain20", steps=300, responses=responses(1, 3, 2))
    said = texts(figure7(find_runs([tmp_path])))
    assert {"plain-20", "all runs: 300 of 64,000 steps"} <= set(said)
    make_run(tmp_path / "r", "resnet20", responses=responses(1, 3, 2))
    said = texts(figure7(find_runs([tmp_path])))
    assert {"plain-20, 300 of 64,000 steps", "ResNet-20"} <= set(said)


def test_runs_of_other_layers_are_not_averaged(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "plain20", 0, responses=responses(1, 3, 2))
    make_run(tmp_path / "b", "plain20", 1, responses=responses(1, 3))
    with pytest.raises(UserError, match=r"b/responses\.json does not name the layers that a has"):
        figure7(find_runs([tmp_path]))
