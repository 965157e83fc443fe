from pathlib import Path

import pytest
from made_up_runs import make_run
from svg import texts

from deepres.report.best_curves import best_curves


def test_without_finished_runs_there_is_no_picture(tmp_path: Path) -> None:
    assert best_curves([make_run(tmp_path / "a", stopped_at=32_000)]) is None


def test_figure_6_at_the_papers_length_with_its_seeds(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"r{seed}", "resnet20", seed) for seed in range(3)]
    runs += [make_run(tmp_path / name, name) for name in ("resnet56", "plain20", "plain56")]
    runs += [make_run(tmp_path / f"short-{n}", n, steps=300) for n in ("resnet20", "resnet56")]
    best = best_curves(runs)
    assert best is not None
    assert [*best.panels] == ["Plain nets", "Residual nets"]
    assert "Figure 6 at the paper's length, 64,000 steps. 1 to 3 seeds" in best.caption
    (axes,) = best.panels["Residual nets"].axes
    assert len(axes.lines) == 4  # a mean of seeds for each network, in training and in test
    assert len(axes.collections) == 2  # the bands
    assert "ResNet-20, mean of 3" in texts(best.panels["Residual nets"])


def test_panels_have_axes_of_one_size_and_a_legend_that_is_not_cut(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"p{depth}", f"plain{depth}") for depth in (20, 56)]
    for depth in (20, 32, 44, 56, 110, 1202):
        seeds = range(1 + (depth == 56))
        runs += [make_run(tmp_path / f"r{depth}-{s}", f"resnet{depth}", s) for s in seeds]
    best = best_curves(runs)
    assert best is not None
    sizes = set()
    for figure in best.panels.values():
        figure.draw_without_rendering()
        (axes,) = figure.axes
        sizes.add(axes.get_position().bounds)
        legend = axes.get_legend().get_window_extent()
        assert 0 <= legend.x0 < legend.x1 <= figure.bbox.x1
        assert legend.y0 >= 0
        assert legend.y1 < axes.xaxis.label.get_window_extent().y0
    assert len(sizes) == 1


@pytest.mark.parametrize(
    ("deep_residual", "seeds", "heading"),
    [
        (7.0, 3, "Degradation, and how it vanishes"),
        (9.0, 3, "Degradation"),
        (7.0, 1, "Learning curves of plain and residual nets"),
    ],
)
def test_the_heading_says_what_the_claims_do(
    tmp_path: Path, deep_residual: float, seeds: int, heading: str
) -> None:
    ends = {"plain20": 9.0, "plain56": 15.0, "resnet20": 8.0, "resnet56": deep_residual}
    runs = [
        make_run(
            tmp_path / f"{name}-{seed}",
            name,
            seed,
            train_error_pct=end + seed / 10,
            test_error_pct=end + seed / 10,
        )
        for name, end in ends.items()
        for seed in range(seeds)
    ]
    best = best_curves(runs)
    assert best is not None
    assert best.heading == heading


def test_without_two_plain_depths_it_says_what_would_show_degradation(tmp_path: Path) -> None:
    best = best_curves([make_run(tmp_path / n, n) for n in ("plain20", "resnet20", "resnet56")])
    assert best is not None
    assert best.heading == "Learning curves of plain and residual nets"
    assert "plain nets of two depths: deepres train plain56." in best.caption


def test_plain_networks_alone_make_figure_1(tmp_path: Path) -> None:
    best = best_curves([make_run(tmp_path / n, n) for n in ("plain20", "plain56")])
    assert best is not None
    assert [*best.panels] == ["Training error", "Test error"]
    assert best.caption.startswith("Figure 1 at the paper's length, 64,000 steps. One run of each")


def test_a_pair_in_small_is_better_than_one_network_at_full_length(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "full", "resnet20")]
    for steps in (300, 2_000):
        runs += [
            make_run(tmp_path / f"{n}-{steps}", n, steps=steps) for n in ("plain20", "plain56")
        ]
    best = best_curves(runs)
    assert best is not None
    assert "not of the paper's runs: 2,000 of 64,000 steps. One run of each" in best.caption
    alone = best_curves(runs[:1])
    assert alone is not None
    assert "Figure 6 at the paper's length" in alone.caption


def test_degradation_in_small_is_better_than_residual_nets_at_full_length(tmp_path: Path) -> None:
    names = ("plain20", "resnet20", "resnet32")
    runs = [make_run(tmp_path / name, name) for name in names]
    for steps, deep in ((2_000, 9.0), (8_000, 8.0)):
        for name, error in (("plain20", 2.0), ("plain56", deep)):
            folder = tmp_path / f"{name}-{steps}"
            runs.append(make_run(folder, name, steps=steps, train_error_pct=error))
    best = best_curves(runs)
    assert best is not None
    assert best.caption.startswith("Figure 1, but not of the paper's runs: 8,000 of 64,000 steps.")
    best = best_curves([*runs, make_run(tmp_path / "plain56", "plain56")])
    assert best is not None
    assert best.caption.startswith("Figure 6 at the paper's length")


def test_the_last_number_below_the_axis_is_not_cut(tmp_path: Path) -> None:
    best = best_curves([make_run(tmp_path / "a", "resnet20", steps=8_000)])
    assert best is not None
    (figure,) = best.panels.values()
    figure.draw_without_rendering()
    (axes,) = figure.axes
    drawn = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    ends = {step: label.get_window_extent().x1 for step, label in drawn if step <= 8_000}
    assert ends[8_000] <= figure.bbox.x1
