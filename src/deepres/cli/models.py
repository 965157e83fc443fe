"""deepres models: the networks and what they cost."""

import argparse
from typing import Any

from deepres.cli.terminal import print_json, print_table
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
        networks = [_network(each, options.input_size) for each in names]
        if options.json:
            print_json({"networks": networks})
        else:
            _print_list(networks)
    else:
        network = _network(name, options.input_size)
        network["stages"] = _stages(name, network["input_size"])
        if options.json:
            print_json(network)
        else:
            _print_stages(network)
    return 0


def _network(name: str, input_size: int | None) -> dict[str, Any]:
    """Return what a network costs, the paper's figures beside ours."""
    model = build_empty(name)
    size = model.input_size if input_size is None else input_size
    cost = total_cost(model, size)
    return {
        "network": name,
        "layers": cost.layers,
        "input_size": size,
        "output": cost.output,
        "parameters": cost.parameters,
        "papers_parameters_m": PARAMETERS_M.get(name.replace("plain", "resnet")),
        "multiply_adds": cost.multiply_adds,
        "papers_multiply_adds_g": MULTIPLY_ADDS_G.get(name) if size == 224 else None,
    }


def _stages(name: str, input_size: int) -> list[dict[str, Any]]:
    """Return a network's Table 1: what each stage is made of, puts out (C, H, W), and costs."""
    model = build_empty(name)
    return [
        {
            "stage": cost.name,
            "output": cost.output,
            "composition": describe(model, cost.name),
            "layers": cost.layers,
            "parameters": cost.parameters,
            "multiply_adds": cost.multiply_adds,
        }
        for cost in stage_costs(model, input_size)
    ]


def _print_list(networks: list[dict[str, Any]]) -> None:
    rows = [
        [
            each["network"],
            str(each["layers"]),
            f"{each['input_size']}×{each['input_size']}",
            f"{each['parameters'] / 1e6:.2f} M",
            _papers(each["papers_parameters_m"], "M"),
            f"{each['multiply_adds'] / 1e9:.3f} G",
            _papers(each["papers_multiply_adds_g"], "G"),
        ]
        for each in networks
    ]
    columns = ["network", "layers", "input", "parameters", "paper", "multiply-adds", "paper"]
    print_table("", columns, rows)


def _papers(figure: float | None, unit: str) -> str:
    return f"{figure} {unit}" if figure else "–"


def _print_stages(network: dict[str, Any]) -> None:
    rows = []
    for each in (*network["stages"], {**network, "stage": "total", "composition": ""}):
        channels, *sides = each["output"]
        rows.append(
            [
                each["stage"],
                "×".join(map(str, (*sides, channels))),
                each["composition"],
                str(each["layers"]),
                f"{each['parameters']:,}",
                f"{each['multiply_adds']:,}",
            ]
        )
    columns = ["stage", "output", "composition", "layers", "parameters", "multiply-adds"]
    size = network["input_size"]
    print_table(f"{network['network']}, {size}×{size} input", columns, rows, text_columns=3)
