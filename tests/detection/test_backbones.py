import pytest
import torch
from small_detector import CLASSES, small_classifier
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from deepres.detection.backbones import first_stages, freeze_batch_norm, split
from deepres.errors import UserError
from deepres.models import build_network
from deepres.models.create import build_empty


@pytest.mark.parametrize(
    ("name", "options"),
    [("resnet18", {}), ("plain18", {}), ("resnet50", {"stride_on": "3x3", "pool": "ceil"})],
)
@torch.inference_mode()
def test_a_resnets_halves_make_it_up(name: str, options: dict[str, str]) -> None:
    """On a map of 14×14, which RoI pooling gives each region, the halves are the network."""
    network = small_classifier(name, **options).network
    halves = split(network)
    image = torch.randn(1, 3, 224, 224)
    _, stages, _ = network.intermediates(image)
    shared = halves.shared(image)
    assert shared.shape[1:] == (halves.shared_channels, halves.region_size, halves.region_size)
    torch.testing.assert_close(shared, stages["conv4_x"])
    maps = halves.region.maps(shared)
    torch.testing.assert_close(maps, stages["conv5_x"])
    vectors = halves.region.vectors(maps)
    assert vectors.shape == (1, halves.region_channels)
    torch.testing.assert_close(network.fc(vectors), stages["fc"])


def test_vgg_16s_halves() -> None:
    """Its convolutions at stride 16, 512 channels; fc6 and fc7 on 7×7 (Simonyan & Zisserman)."""
    network = build_empty("vgg16")
    halves = split(network)
    shared = halves.shared(torch.empty(1, 3, 608, 1008, device="meta"))
    assert shared.shape == (1, 512, 38, 63)
    pooled = torch.empty(300, 512, halves.region_size, halves.region_size, device="meta")
    assert halves.region(pooled).shape == (300, halves.region_channels) == (300, 4096)
    counts = [sum(p.numel() for p in half.parameters()) for half in (halves.shared, halves.region)]
    assert counts == [14_714_688, 138_357_544 - 14_714_688 - 4_097_000]  # all but conv; less fc8
    names = {**halves.shared.state_dict(), **halves.region.state_dict()}.keys()
    assert names == network.state_dict().keys() - {"classifier.6.weight", "classifier.6.bias"}


def test_the_halves_weights_are_copies() -> None:
    network = build_network("resnet18", num_classes=5)
    nn.init.zeros_(split(network).shared.conv1.weight)
    assert network.conv1.weight.any()


@pytest.mark.parametrize("name", ["resnet20", "highway19"])
def test_networks_for_cifar_have_no_c4_form(name: str) -> None:
    with pytest.raises(UserError, match=f"no detector can be built on {name}"):
        split(build_empty(name))


@torch.inference_mode()
def test_frozen_bn_is_bn_in_evaluation() -> None:
    network = small_classifier().network
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.1  # carried over, not FrozenBatchNorm2d's own
    images = torch.randn(2, 3, 64, 64)
    expected = network(images)
    freeze_batch_norm(network)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    torch.testing.assert_close(network.train()(images), expected)


def test_bn_is_frozen_in_the_first_stages_alone() -> None:
    network = build_network("resnet18", num_classes=len(CLASSES))
    freeze_batch_norm(network, first_stages(network, 2))
    frozen = {n for n, layer in network.named_modules() if isinstance(layer, FrozenBatchNorm2d)}
    assert frozen == {"bn1", *(f"layer1.{i}.bn{j}" for i in (0, 1) for j in (1, 2))}
