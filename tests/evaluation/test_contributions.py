from typing import Any

import pytest
import torch
from torch import nn

from deepres.evaluation.contributions import block_contributions
from deepres.models import build_network
from deepres.models.stages import record_outputs

ADDED = 1000.0


@pytest.mark.parametrize(
    ("name", "options", "blocks"),
    [
        ("resnet14", {}, {"conv2_x": 2, "conv3_x": 2, "conv4_x": 2}),
        ("resnet8", {"residual_layers": 1}, {"conv2_x": 2, "conv3_x": 2, "conv4_x": 2}),
        ("resnet18", {"shortcut": "C"}, {f"conv{i}_x": 2 for i in range(2, 6)}),
        ("resnet50", {}, {"conv2_x": 3, "conv3_x": 4, "conv4_x": 6, "conv5_x": 3}),
    ],
)
def test_both_terms_of_each_sum(name: str, options: dict[str, Any], blocks: dict[str, int]) -> None:
    """Where F(x) is 1000 everywhere, ReLU cuts nothing off, and a block's output less 1000 is x."""
    torch.manual_seed(0)
    network = build_network(name, **options).eval().double().requires_grad_(False)
    x = torch.rand(2, 3, 32, 32).double()
    found = block_contributions(network, x)
    stages = [each.stage for each in found]
    assert {stage: stages.count(stage) for stage in stages} == blocks
    for i in range(len(found) - 1, -1, -2):  # those before it are as they were
        block = network.get_submodule(found[i].block)
        last = [m for m in block.children() if isinstance(m, nn.BatchNorm2d)][-1]
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, ADDED)
        y = record_outputs(network, x, [found[i].block])[found[i].block]
        now = block_contributions(network, x)[i]
        assert now.added == pytest.approx(ADDED * y.numel() ** 0.5)
        assert now.passed == pytest.approx(found[i].passed)
        assert now.passed == pytest.approx(float((y - ADDED).norm()))
        assert now.ratio == now.added / now.passed


def test_without_blocks_there_is_nothing_to_add() -> None:
    for name in ("plain8", "highway19"):
        assert block_contributions(build_network(name).eval(), torch.rand(1, 3, 32, 32)) == []


def test_there_is_no_ratio_to_nothing() -> None:
    network = build_network("resnet8").eval()
    nn.init.zeros_(network.get_submodule("bn1").weight)
    first = block_contributions(network, torch.rand(1, 3, 32, 32))[0]
    assert (first.passed, first.ratio) == (0, None)
