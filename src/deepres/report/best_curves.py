"""The summary's picture: Figure 6 or 1 from the runs that are nearest to the paper's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepres.report.cifar_claims import CIFAR_CLAIMS
from deepres.report.computed import computed
from deepres.report.curves import (
    BOLD,
    CIFAR_AXES,
    DEGRADATION,
    THIN,
    Styles,
    choose,
    curve_label,
    draw_curve,
    set_axes,
)
from deepres.report.grouping import comparable
from deepres.report.judging import combined, judge_all
from deepres.report.legends import set_legend
from deepres.report.pictures import DEPTHS, new_figure
from deepres.report.runs import Run
from deepres.report.samples import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FAMILIES = {
    name: [f"{kind}{depth}" for depth in DEPTHS]
    for name, kind in (("Plain nets", "plain"), ("Residual nets", "resnet"))
}
BOTH: Styles = {"train": THIN | {"linestyle": "--"}, "test": BOLD}


@dataclass(frozen=True)
class BestCurves:
    """Pictures that stand side by side, by their headings."""

    heading: str
    panels: dict[str, "Figure"]
    caption: str


def best_curves(runs: Iterable[Run]) -> BestCurves | None:
    """Draw Figure 6, or Figure 1 if only plain networks are there; None: there is no run for it.

    At the greatest length at which plain-20 and plain-56 show whether plain nets degrade, otherwise
    at the greatest that two depths of one family have in common, otherwise from what there is.
    """
    finished = [run for run in runs if run.result and run.kind == "cifar10"]
    groups = [group for group in comparable(finished) if _present(group)]
    if not groups:
        return None
    group = min(groups, key=_lacks)
    present = _present(group)
    drawn = [run for networks in present.values() for name in networks for run in group[name]]
    if [*present] == ["Plain nets"]:
        name, (networks,) = "Figure 1", present.values()
        alone = BOLD | {"linewidth": 1.5}
        panels = {
            "Training error": _panel("training error", networks, {"train": alone}, drawn),
            "Test error": _panel("test error", networks, {"test": alone}, drawn),
        }
    else:
        name = "Figure 6"
        panels = {what: _panel(what, names, BOTH, drawn) for what, names in present.items()}
    return BestCurves(_heading(group), panels, _caption(name, drawn))


def _heading(group: Runs) -> str:
    """Say what the picture shows, as far as the claims hold on its runs."""
    if not _holds("degradation", group):
        return "Learning curves of plain and residual nets"
    return "Degradation, and how it vanishes" if _holds("no-degradation", group) else "Degradation"


def _holds(claim_id: str, group: Runs) -> bool:
    (claim,) = (claim for claim in CIFAR_CLAIMS if claim.id == claim_id)
    return combined(judge_all(claim.comparisons, group)) == "holds"


def _present(group: Runs) -> dict[str, list[str]]:
    """Return which networks of each family have runs, of families that have any."""
    found = {what: [n for n in networks if n in group] for what, networks in FAMILIES.items()}
    return {what: networks for what, networks in found.items() if networks}


def _lacks(group: Runs) -> tuple[bool, bool]:
    """Tell whether Figure 1 cannot be drawn, and whether no family has two depths."""
    alone = all(len(networks) < 2 for networks in _present(group).values())
    return not group.keys() >= {*DEGRADATION}, alone


def _panel(heading: str, networks: Sequence[str], styles: Styles, runs: Sequence[Run]) -> "Figure":
    figure = new_figure(5.6, 3.0, layout=None)  # so that the axes of all panels are alike
    axes = figure.add_axes((0.085, 0.36, 0.87, 0.56))  # beside it a wide last number has room
    curves = choose(runs, networks)
    alike = len({len(curve.runs) for curve in curves}) == 1  # the caption says how many
    for curve in curves:
        label = curve.label if alike else curve_label(curve, condition_said=True)
        draw_curve(axes, curve, styles, label)
    set_axes(axes, runs, CIFAR_AXES)
    set_legend(axes, columns=4 if alike else 3)
    axes.set_title(heading, fontsize=10)
    return figure


def _caption(name: str, runs: Sequence[Run]) -> str:
    """Say at which length the picture is, of how many seeds, and what its lines are."""
    some_run = runs[0]
    length = f"{some_run.steps:,} steps"
    if some_run.is_papers:
        parts = [f"{name} at the paper's length, {length}."]
    else:
        parts = [f"{name}, but not of the paper's runs: {some_run.condition}."]
    counts = [sum(run.model == model for run in runs) for model in {run.model for run in runs}]
    fewest, most = min(counts), max(counts)
    if most == 1:
        seeds = sorted({run.meta["seed"] for run in runs})
        parts.append(f"One run of each network, seed {' or '.join(map(str, seeds))}.")
    else:
        several = f"{most}" if fewest == most else f"{fewest} to {most}"
        parts.append(
            f"{several} seeds of each network: their mean in a band from lowest to highest."
        )
    if name == "Figure 6":
        parts.append("Dashed: training error; bold: test error.")
    plain = {run.model for run in runs} & {*FAMILIES["Plain nets"]}
    if len(plain) < 2:
        lacking = [network for network in DEGRADATION if network not in plain]
        command = f"deepres train {' '.join(lacking)}"
        parts.append(f"Degradation shows with plain nets of two depths: {command}.")
    ways = (way for run in runs for way in run.provenances)
    return " ".join([*parts, f"Computed: {computed(ways)}."])
