import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepres.models import build_network
from deepres.models.highway import HighwayLayer


def test_the_gate_mixes_the_layer_and_its_input() -> None:
    layer = HighwayLayer(4).eval()
    x = torch.rand(2, 4, 6, 6)
    transformed = F.relu(layer.bn1(layer.conv1(x)))
    gate = layer.gate(x).sigmoid()
    torch.testing.assert_close(layer(x), transformed * gate + x * (1 - gate))

    nn.init.zeros_(layer.gate.weight)
    for bias, expected in ((-100.0, x), (100.0, transformed)):
        nn.init.constant_(layer.gate.bias, bias)
        torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(
    ("name", "gates", "layers"), [("highway19", 14, 17), ("highway32", 27, 30)]
)
def test_gates_stand_everywhere_but_where_dimensions_change(name, gates, layers) -> None:
    model = build_network(name).eval()
    gated = [module for module in model.modules() if isinstance(module, HighwayLayer)]
    assert len(gated) == gates
    assert all(module.gate.bias.eq(-2).all() for module in gated)
    _, stages, responses = model.intermediates(torch.randn(1, 3, 32, 32))
    assert len(responses) == layers  # the depth without the 1×1 layer and the fc; no gates
    assert not any("gate" in name for name in responses)
    assert [stage.shape[-1] for stage in stages.values()] == [32, 32, 16, 8, 10]


def test_it_starts_near_the_identity() -> None:
    torch.manual_seed(0)
    model = build_network("highway32").eval()
    layer = model.get_submodule("layer2.1")
    x = torch.randn(4, 48, 16, 16).relu()
    assert 0.05 < layer.gate(x).sigmoid().mean() < 0.3
    assert (layer(x) - x).norm() < x.norm() / 2


def test_it_learns_a_batch_by_heart() -> None:
    torch.manual_seed(0)
    model = build_network("highway19", num_classes=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 4
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
