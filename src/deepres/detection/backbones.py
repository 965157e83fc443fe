"""Classification networks taken apart for Faster R-CNN: what images share, what each region has.

ResNets in the C4 form of §4.3: conv1 to conv4_x are shared, at stride 16; conv5_x and the global
pooling run for each region, in the place of VGG's fully connected layers.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from deepres.errors import UserError
from deepres.models import StagedNetwork
from deepres.models.resnet import ResNet
from deepres.models.vgg import VGG

STRIDE = 16
"""Pixels of the image from one position of the shared feature map to the next."""


class RegionLayers(nn.Sequential):
    """The layers that run for each region: pooled features to a vector, by way of a map."""

    def maps(self, pooled: Tensor) -> Tensor:
        """Map pooled features (N, C, size, size) through the first layer: conv5_x in a ResNet."""
        features: Tensor = self[0](pooled)
        return features

    def vectors(self, maps: Tensor) -> Tensor:
        """Map what ``maps`` returned to vectors (N, D)."""
        for layer in list(self)[1:]:
            maps = layer(maps)
        return maps


class Halves(NamedTuple):
    """A classification network without its classifier, taken apart."""

    shared: nn.Sequential
    """Images (N, 3, H, W) to features (N, shared_channels, H / 16, W / 16)."""
    shared_channels: int
    region: RegionLayers
    region_channels: int
    """The length of a region's vector."""
    region_size: int
    """The side of the map that RoI pooling gives each region."""


def split(network: StagedNetwork) -> Halves:
    """Take a network for ImageNet apart; the halves have copies of its weights.

    Modules keep their names: ``shared`` has ``conv1``, …, ``layer3``, and ``region`` ``layer4``.

    Raises:
        UserError: Faster R-CNN has no form for this network.
    """
    if isinstance(network, VGG):
        # Without the last max pool, in whose place regions are pooled; without the last layer.
        *fc6_fc7, fc8 = network.classifier
        assert isinstance(fc8, nn.Linear)
        region = {"flatten": network.flatten, "classifier": nn.Sequential(*fc6_fc7)}
        return Halves(
            _sequence({"features": network.features[:-1]}),
            _width(network.features),
            RegionLayers(_named(region)),
            fc8.in_features,
            region_size=7,
        )
    if isinstance(network, ResNet) and hasattr(network, "layer4"):
        names = first_stages(network, 4)
        own = ("layer4", "avgpool", "flatten")
        return Halves(
            _sequence({name: network.get_submodule(name) for name in names}),
            _width(network.get_submodule("layer3")),
            RegionLayers(_named({name: network.get_submodule(name) for name in own})),
            network.fc.in_features,
            region_size=14,  # conv5_1 halves it to 7
        )
    raise UserError(
        f"no detector can be built on {network.architecture.get('name')}: "
        "take a network for ImageNet, resnet18 … resnet152, plain18 … plain152-bottleneck, "
        "vgg16 or vgg19"
    )


def freeze_batch_norm(module: nn.Module, within: Iterable[str] | None = None) -> None:
    """Replace BN layers in ``module`` by the affine transforms that they are in evaluation.

    Args:
        module: is changed in place.
        within: the submodules whose BN layers are meant, by name; None: all of them.
    """
    chosen = None if within is None else tuple(f"{name}." for name in within)
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.BatchNorm2d) and (chosen is None or f"{name}.".startswith(chosen)):
            frozen = FrozenBatchNorm2d(layer.num_features, eps=layer.eps).to(layer.weight.device)
            frozen.load_state_dict(layer.state_dict())
            parent, _, own_name = name.rpartition(".")
            setattr(module.get_submodule(parent), own_name, frozen)


def first_stages(network: StagedNetwork, count: int) -> tuple[str, ...]:
    """Return the names of the modules in a network's first ``count`` stages."""
    stages = list(network.stages.values())[:count]
    return tuple(name for stage in stages for name in stage)


def _width(layers: nn.Module) -> int:
    """Return how many channels come out of the last convolution."""
    return [m for m in layers.modules() if isinstance(m, nn.Conv2d)][-1].out_channels


def _named(modules: dict[str, nn.Module]) -> OrderedDict[str, nn.Module]:
    return OrderedDict(copy.deepcopy(modules))


def _sequence(modules: dict[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(_named(modules))
