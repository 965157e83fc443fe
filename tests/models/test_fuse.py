import pytest
import torch
from torch import nn

from deepres.models import build_network
from deepres.models.fuse import FusedBlock, FusedConvolution, fuse_for_inference
from deepres.models.stages import StagedNetwork

CPU = torch.device("cpu")


def trained_network(name: str, options: dict[str, object]) -> StagedNetwork:
    """A network whose BN does something."""
    torch.manual_seed(0)
    network = build_network(name, num_classes=7, **options).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data.uniform_(0.5, 1.5)
            layer.bias.data.normal_(0, 0.3)
            layer.running_mean.normal_(0, 0.5)
            layer.running_var.uniform_(0.3, 3)
    return network


@pytest.mark.parametrize(
    ("name", "options", "blocks", "others"),
    [
        ("resnet18", {"shortcut": "A"}, 8, 1),
        ("resnet18", {"shortcut": "C"}, 8, 1),
        ("plain18", {}, 8, 1),
        ("resnet50", {"pool": "ceil"}, 16, 1),
        ("resnet50", {"stride_on": "3x3"}, 16, 1),
        ("resnet20", {}, 9, 1),
        ("plain20", {}, 9, 1),
        ("resnet20", {"residual_layers": 1}, 0, 1),
        ("highway19", {}, 0, 2),
        ("vgg16", {}, 0, 13),
    ],
)
def test_features_and_logits_are_the_same_to_rounding(
    name: str, options: dict[str, object], blocks: int, others: int
) -> None:
    network = trained_network(name, options).requires_grad_(False)
    images = torch.randn(2, 3, network.input_size // 2, network.input_size // 2)
    before = images.clone()
    expected = network.feature_map(images), network(images)
    fuse_for_inference(network, CPU)
    for _ in range(2):
        found = network.feature_map(images), network(images)
        for fused, plain in zip(found, expected, strict=True):
            assert (fused - plain).abs().max() / plain.abs().max() < 1e-5
    assert torch.equal(images, before)

    modules = list(network.modules())
    assert sum(isinstance(module, FusedBlock) for module in modules) == blocks
    in_blocks = {id(c) for m in modules if isinstance(m, FusedBlock) for c in m.modules()}
    alone = [m for m in modules if isinstance(m, FusedConvolution) and id(m) not in in_blocks]
    assert len(alone) == others
    assert not any(isinstance(module, nn.BatchNorm2d) for module in modules)


def test_elsewhere_bn_is_folded_and_nothing_more() -> None:
    network = trained_network("resnet8", {})
    fuse_for_inference(network, torch.device("cuda"))
    kinds = {type(module) for module in network.modules()}
    assert not kinds & {nn.BatchNorm2d, FusedBlock, FusedConvolution}
