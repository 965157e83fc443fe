import pytest
import torch
from torch import nn

from deepres.models import build_network
from deepres.models.fold import fold_batch_norm


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"shortcut": "A"}),
        ("resnet18", {"shortcut": "B"}),
        ("resnet18", {"shortcut": "C"}),
        ("plain18", {}),
        ("resnet50", {}),
        ("resnet20", {}),
        ("resnet20", {"residual_layers": 1}),
        ("highway19", {}),
    ],
)
@torch.inference_mode()
def test_folding_leaves_the_outputs_and_no_bn(name: str, options: dict[str, str]) -> None:
    torch.manual_seed(0)
    network = build_network(name, num_classes=7, **options).double().eval()
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for layer in layers:
        layer.weight.uniform_(0.5, 1.5)
        layer.bias.normal_(0, 0.3)
        layer.running_mean.normal_(0, 0.5)
        layer.running_var.uniform_(0.3, 3)
    images = torch.randn(2, 3, network.input_size // 2, network.input_size // 2).double()
    expected, stages, _ = network.intermediates(images)
    parameters = sum(parameter.numel() for parameter in network.parameters())

    fold_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    found, folded_stages, _ = network.intermediates(images)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    for stage, output in stages.items():
        torch.testing.assert_close(folded_stages[stage], output, rtol=1e-9, atol=1e-9)
    # Each channel keeps its shift, as a bias, and loses its scale.
    channels = sum(layer.num_features for layer in layers)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters - channels


@torch.inference_mode()
def test_without_bn_nothing_happens() -> None:
    network = build_network("resnet8").eval()
    fold_batch_norm(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fold_batch_norm(network)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_float32_is_the_same_to_rounding() -> None:
    network = build_network("resnet20").eval()
    images = torch.randn(4, 3, 32, 32)
    expected = network(images)
    fold_batch_norm(network)
    torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-4)
