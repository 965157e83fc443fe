"""Figure 7: how strongly the 3×3 layers respond."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepres.errors import UserError
from deepres.report.curves import choose, common_condition, curve_label
from deepres.report.legends import legend_entries
from deepres.report.names import title
from deepres.report.pictures import new_figure
from deepres.report.runs import RESPONSES, Run
from deepres.report.x_axis import whole_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


NETWORKS = ("plain20", "plain56", "resnet20", "resnet56", "resnet110")


def figure7(runs: Sequence[Run]) -> "Figure":
    """Draw the standard deviation of each 3×3 layer's response on CIFAR-10 (§4.2).

    On top the layers are in order, below by their standard deviation. Of several seeds the mean
    is drawn. The paper measures after BN, before the nonlinearity or the addition.
    """
    measured = [run for run in runs if run.study(RESPONSES)]
    curves = choose(measured, NETWORKS)
    common = common_condition([run for curve in curves for run in curve.runs])
    figure = new_figure(7, 7)
    top, bottom = figure.subplots(2, 1)
    drawn: list[Any] = []
    for curve in curves:
        std = mean_std(curve.runs)
        color, marker = curve.look
        style: dict[str, Any] = {
            "color": color,
            "marker": marker,
            "linewidth": 1.4,
            "markersize": 4,
            "linestyle": "--" if curve.runs[0].model.startswith("plain") else "-",
            "markevery": max(1, std.size // 18),
        }
        drawn.append(std)
        layers = np.arange(1, std.size + 1)
        top.plot(layers, std, label=curve_label(curve, bool(common)), **style)
        bottom.plot(layers, np.sort(std)[::-1], **style)
    top.set_xlabel("layer")
    bottom.set_xlabel("layer, sorted by standard deviation")
    for axes in (top, bottom):
        whole_ticks(axes.xaxis)
        axes.set_ylabel("standard deviation")
        axes.set_xlim(0, max(map(len, drawn), default=0) + 1)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="0.92")
    present = {run.model for curve in curves for run in curve.runs}
    missing = [title(network) for network in NETWORKS if network not in present]
    handles, names = legend_entries(top, "no responses yet", missing)
    look: dict[str, Any] = {"frameon": False, "fontsize": 9, "handlelength": 3, "ncols": 2}
    figure.legend(handles, names, loc="outside lower center", **look)
    heading = ["Figure 7: responses of the 3×3 layers", "dashed: plain; solid: ResNet", common]
    figure.suptitle("\n".join(filter(None, heading)), fontsize=11)
    return figure


def mean_std(runs: Sequence[Run]) -> Any:
    """Return the standard deviation of each layer's response (layers,), the mean over ``runs``.

    Raises:
        UserError: the runs' files do not name the same layers.
    """
    measured = [run.study(RESPONSES) for run in runs]
    for run, each in zip(runs, measured, strict=True):
        layers = each.get("layers", [])
        if layers != measured[0].get("layers", []) or len(each["std"]) != len(layers):
            raise UserError(
                f"{run.path / RESPONSES} does not name the layers that {runs[0].name} has; "
                "measure both again"
            )
    return np.mean([np.array(each["std"], float) for each in measured], 0)
