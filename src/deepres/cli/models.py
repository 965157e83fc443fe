"""deepres models: the networks and what they cost."""

import argparse

from deepres.cli.terminal import print_table
from deepres.errors import unknown_name
from deepres.models.complexity import stage_costs, total_cost
from deepres.models.composition import describe
from deepres.models.create import build_empty, list_models
from deepres.report.published import MULTIPLY_ADDS_G, PARAMETERS_M


def call(options: argparse.Namespace) -> int:
    """Print the table that was asked for."""
    name = options.name or "*"
    if any(wildcard in name for wildcard in "*?["):
        names = list_models(name)
        if not names:
            raise unknown_name("network", name, list_models())
        show_list(names, options.input_size)
    else:
        show_stages(name, options.input_size)
    return 0


def show_list(names: list[str], input_size: int | None) -> None:
    """Print one line per network, the paper's figures beside ours."""
    rows = []
    for name in names:
        model = build_empty(name)
        size = model.input_size if input_size is None else input_size
        cost = total_cost(model, size)
        paper_m = PARAMETERS_M.get(name.replace("plain", "resnet"))
        paper_g = MULTIPLY_ADDS_G.get(name) if size == 224 else None
        rows.append(
            [
                name,
                str(cost.layers),
                f"{size}×{size}",
                f"{cost.parameters / 1e6:.2f} M",
                f"{paper_m} M" if paper_m else "–",
                f"{cost.multiply_adds / 1e9:.3f} G",
                f"{paper_g} G" if paper_g else "–",
            ]
        )
    columns = ["network", "layers", "input", "parameters", "paper", "multiply-adds", "paper"]
    print_table("", columns, rows)


def show_stages(name: str, input_size: int | None) -> None:
    """Print a network's Table 1: what each stage puts out and costs."""
    model = build_empty(name)
    size = model.input_size if input_size is None else input_size
    costs = [*stage_costs(model, size), total_cost(model, size)]
    rows = [
        [
            cost.name,
            "×".join(map(str, (*cost.output[1:], cost.output[0]))),
            "" if cost.name == "total" else describe(model, cost.name),
            str(cost.layers),
            f"{cost.parameters:,}",
            f"{cost.multiply_adds:,}",
        ]
        for cost in costs
    ]
    columns = ["stage", "output", "composition", "layers", "parameters", "multiply-adds"]
    print_table(f"{name}, {size}×{size} input", columns, rows, text_columns=3)
