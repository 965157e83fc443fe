"""Drawing what an artefact shows, from its runs and from the networks themselves."""

import itertools
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepres.models.complexity import block_cost, stage_costs
from deepres.models.composition import describe
from deepres.models.create import build_empty
from deepres.models.diagram import diagram
from deepres.models.stages import StagedNetwork
from deepres.network_diagram import Diagram
from deepres.recipes import ImageNetRecipe, get_recipe
from deepres.report.architecture import (
    BlockCost,
    MapSize,
    Stage,
    cifar_architecture,
    shortcut_costs,
    table1,
)
from deepres.report.building_blocks import figure5
from deepres.report.class_precision_tables import table10, table11
from deepres.report.curves import figure1, figure4, figure6
from deepres.report.detection_tables import table7, table8, table9, table12, table13, table14
from deepres.report.diagrams import figure3
from deepres.report.names import title
from deepres.report.pictures import save_picture
from deepres.report.render import FORMS, Table, save_table
from deepres.report.response_curves import figure7
from deepres.report.runs import Run
from deepres.report.tables import released, table2, table3, table4, table5, table6
from deepres.report.x_axis import XAxis
from deepres.reproduction.artefacts import Artefact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE_1 = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
FIGURE_3 = ("vgg19", "plain34", "resnet34")
FIGURE_5 = ("resnet34", "resnet50")
CIFAR = ("resnet20", "resnet56", "resnet110")
BLOCKS = {
    "basic block of conv2_x (ResNet-34)": ("resnet34", "layer1.1"),
    "bottleneck of conv2_x (ResNet-50)": ("resnet50", "layer1.1"),
    "bottleneck of conv5_x (ResNet-50)": ("resnet50", "layer4.1"),
    **{title(name): (name, "") for name in TABLE_1[1:]},
}
"""Whose shortcuts are counted: a network and the name of a block; nothing: all of it."""

FROM_RUNS: dict[str, Callable[[Sequence[Run]], "Table | Figure"]] = {
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "table5": table5,
    "table6": table6,
    "released": released,
    "table7": table7,
    "table8": table8,
    "table9": table9,
    "table10": table10,
    "table11": table11,
    "table12": table12,
    "table13": table13,
    "figure7": figure7,
}
CURVES = {"figure1": figure1, "figure4": figure4, "figure6": figure6}
FROM_NETWORKS: dict[str, Callable[[], "Table | Figure"]] = {
    "table1": lambda: table1({name: stages(name) for name in TABLE_1}),
    "architecture": lambda: cifar_architecture({name: map_sizes(name) for name in CIFAR}),
    "shortcuts": lambda: shortcut_costs([cost_of_shortcuts(block) for block in BLOCKS]),
    "table14": table14,
    "figure3": lambda: figure3(diagrams(FIGURE_3)),
    "figure5": lambda: figure5(diagrams(FIGURE_5)),
}


def draw(name: str, runs: Sequence[Run], x_axis: XAxis | None = None) -> "Table | Figure":
    """Return the artefact called ``name``.

    Args:
        name: of one of ``ARTEFACTS``.
        runs: all that may have a part in it; others are left out.
        x_axis: what learning curves are drawn against; None: what they can be read against.
    """
    if name in FROM_NETWORKS:
        return FROM_NETWORKS[name]()
    if name in CURVES:
        return CURVES[name](runs, x_axis)
    return FROM_RUNS[name](runs)


def what_fills(artefact: Artefact, drawn: "Table | Figure") -> list[str]:
    """Return the commands that give an artefact its first numbers; none: it has some."""
    if isinstance(drawn, Table):
        empty, commands = drawn.is_empty, [command for _, command in drawn.missing]
    else:
        empty, commands = not any(axes.has_data() for axes in drawn.axes), []
    if not empty:
        return []
    kinds = {get_recipe(study.recipe).kind for study in artefact.studies}
    data = " --data IMAGENET" if ImageNetRecipe.kind in kinds else ""
    return list(dict.fromkeys(commands)) or [f"deepres reproduce {artefact.name}{data}"]


def files_of(name: str, folder: Path) -> list[Path]:
    """Return the files that an artefact is written into."""
    endings = (".svg", ".png") if name.startswith("figure") else FORMS
    return [folder / f"{name}{ending}" for ending in endings]


def save(drawn: "Table | Figure", name: str, folder: Path) -> list[Path]:
    """Write an artefact in all its forms into ``folder``."""
    files = files_of(name, folder)
    if isinstance(drawn, Table):
        return [save_table(drawn, file) for file in files]
    return [save_picture(drawn, file) for file in files]


def diagrams(names: Sequence[str]) -> dict[str, Diagram]:
    """Return the networks' diagrams."""
    return {name: diagram(_network(name)) for name in names}


def stages(name: str) -> list[Stage]:
    """Return a network's column of Table 1."""
    network = _network(name)
    return [
        (
            cost.name,
            "×".join(map(str, cost.output[1:] or (1, 1))),
            describe(network, cost.name),
            cost.multiply_adds,
        )
        for cost in stage_costs(network, network.input_size)
    ]


def cost_of_shortcuts(block: str) -> BlockCost:
    """Return what one of ``BLOCKS`` costs with identity shortcuts, and with projections."""
    name, part = BLOCKS[block]
    networks = [_network(name, shortcut=option) for option in ("A", "C")]
    costs = [block_cost(network, part, network.input_size) for network in networks]
    (weights, adds), (projected, with_more) = costs
    return block, weights, projected, adds, with_more


def map_sizes(name: str) -> list[MapSize]:
    """Return a CIFAR-10 network's rows of §4.2's table: map size, layers, filters."""
    maps = [row for row in diagram(_network(name)).rows if "conv" in row.label]
    sizes = []
    for size, rows in itertools.groupby(maps, key=lambda row: row.size):
        layers = list(rows)
        sizes.append((f"{size}×{size}", len(layers), layers[-1].channels))
    return sizes


@cache
def _network(name: str, **options: Any) -> StagedNetwork:
    """Return a network without weights, which several artefacts show."""
    return build_empty(name, **options)
