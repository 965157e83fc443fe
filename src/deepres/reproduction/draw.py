"""Drawing what an artefact shows, from its runs and from the networks themselves."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepres.models.complexity import stage_costs
from deepres.models.composition import describe
from deepres.models.create import build_empty
from deepres.models.diagram import diagram
from deepres.report.architecture import MapSize, Stage, cifar_architecture, table1
from deepres.report.curves import figure1, figure4, figure6
from deepres.report.detection_tables import table7, table8, table9, table12, table13
from deepres.report.diagrams import figure3, figure5
from deepres.report.pictures import save_picture
from deepres.report.render import FORMS, Table, save_table
from deepres.report.response_curves import figure7
from deepres.report.runs import Run
from deepres.report.tables import table2, table3, table4, table5, table6

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE_1 = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
FIGURE_3 = ("vgg19", "plain34", "resnet34")
FIGURE_5 = ("resnet34", "resnet50")
CIFAR = ("resnet20", "resnet56", "resnet110")

FROM_RUNS: dict[str, Callable[[Sequence[Run]], "Table | Figure"]] = {
    **{"table2": table2, "table3": table3, "table4": table4, "table6": table6},
    **{"table7": table7, "table8": table8, "table9": table9},
    **{"table12": table12, "table13": table13},
    **{"figure1": figure1, "figure4": figure4, "figure6": figure6, "figure7": figure7},
}
FROM_NETWORKS: dict[str, Callable[[], "Table | Figure"]] = {
    "table1": lambda: table1({name: stages(name) for name in TABLE_1}),
    "architecture": lambda: cifar_architecture({name: map_sizes(name) for name in CIFAR}),
    "figure3": lambda: figure3(diagrams(FIGURE_3)),
    "figure5": lambda: figure5(diagrams(FIGURE_5)),
}


def draw(
    name: str, runs: Sequence[Run], ensembles: Sequence[Mapping[str, Any]] = ()
) -> "Table | Figure":
    """Return the artefact called ``name``.

    Args:
        name: of one of ``ARTEFACTS``.
        runs: all that may have a part in it; others are left out.
        ensembles: for Table 5, as ``measure_ensemble`` gives them.
    """
    if name in FROM_NETWORKS:
        return FROM_NETWORKS[name]()
    if name == "table5":
        return table5(runs, ensembles)
    return FROM_RUNS[name](runs)


def save(drawn: "Table | Figure", name: str, folder: Path) -> list[Path]:
    """Write an artefact in all its forms into ``folder``."""
    if isinstance(drawn, Table):
        return [save_table(drawn, folder / f"{name}{ending}") for ending in FORMS]
    return [save_picture(drawn, folder / f"{name}{ending}") for ending in (".svg", ".png")]


def diagrams(names: Sequence[str]) -> dict[str, Any]:
    """Return the networks' diagrams as plain data."""
    return {name: diagram(build_empty(name)).to_dict() for name in names}


def stages(name: str) -> list[Stage]:
    """Return a network's column of Table 1."""
    network = build_empty(name)
    return [
        (
            cost.name,
            "×".join(map(str, cost.output[1:] or (1, 1))),
            describe(network, cost.name),
            cost.multiply_adds,
        )
        for cost in stage_costs(network, network.input_size)
    ]


def map_sizes(name: str) -> list[MapSize]:
    """Return a CIFAR-10 network's rows of §4.2's table: map size, layers, filters."""
    maps = [row for row in diagram(build_empty(name)).rows if "conv" in row.label]
    sizes = []
    for size, rows in itertools.groupby(maps, key=lambda row: row.size):
        layers = list(rows)
        sizes.append((f"{size}×{size}", len(layers), layers[-1].channels))
    return sizes
