import math

import pytest
import torch
import torch.nn.functional as F

from deepres.evaluation.signals import NEITHER, Signals, measure_signals
from deepres.models import build_network


def test_both_ways_through_every_3x3_layer() -> None:
    torch.manual_seed(0)
    network = build_network("plain8").eval()
    images, labels = torch.randn(16, 3, 32, 32), torch.arange(16) % 10
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    signals = measure_signals(network, images, labels)
    assert not network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())

    assert signals.layers[0] == "conv1"
    assert len(signals.layers) == len(signals.forward_std) == len(signals.gradient_norm) == 7
    # in training mode BN gives each layer unit variance, whatever the depth
    assert signals.forward_std == pytest.approx([1.0] * 7, abs=1e-2)

    # the last layer's gradient by hand: its response passes ReLU, the mean over pixels, and fc
    network.train()
    response = network.intermediates(images).responses[signals.layers[-1]].detach()
    fc = network.get_submodule("fc")
    error = (fc(response.relu().mean((2, 3))).softmax(1) - F.one_hot(labels, 10)) / 16
    by_hand = (error @ fc.weight)[:, :, None, None] / 64 * (response > 0)
    assert signals.gradient_norm[-1] == pytest.approx(by_hand.norm().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("forward", "backward", "verdict"),
    [
        ((1.0, 0.1, 0.01), (0.01, 0.1, 1.0), NEITHER),
        ((1.0, 1e-4, 1.0), (1.0, 1.0, 1.0), "forward signals vanish"),
        ((1.0, 1.0, 1.0), (1e-4, 1.0, 1.0), "backward signals vanish"),
        ((1.0, math.nan, 1.0), (0.0, 1.0, 1.0), "forward and backward signals vanish"),
        ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), "backward signals vanish"),
        ((1.0, 1.0, 1.0), (5e3, 10.0, 1.0), f"{NEITHER}, but backward signals explode"),
        (
            (1.0, 2e3, 1.0),
            (1e-4, 1e-2, 1.0),
            "backward signals vanish, but forward signals explode",
        ),
    ],
)
def test_the_verdict_goes_by_the_rule(forward, backward, verdict: str) -> None:
    assert Signals(("a", "b", "c"), forward, backward).verdict == verdict
