"""Networks and classifiers with weights, in one call."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepres import models
from deepres.errors import UserError
from deepres.models import Classifier, StagedNetwork
from deepres.models.blocks import ShortcutOption, StrideOn
from deepres.models.create import check_number_of_classes, he_initialise
from deepres.models.resnet import Pool
from deepres.pretrained.finding import SOURCES, find_weights, weights_for
from deepres.recipes.cifar10 import usual_name
from deepres.runtime import resolve_device


def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    shortcut: ShortcutOption | None = None,
    stride_on: StrideOn | None = None,
    pool: Pool | None = None,
    residual_layers: int | None = None,
) -> StagedNetwork:
    """Build a network of the paper, He-initialised or with weights, in training mode.

    Args:
        name: one of ``list_models()``, or ``plainD`` / ``resnetD`` with any depth D = 6n+2 for
            CIFAR-10. ``resnet50`` and ``resnet152`` are the ImageNet networks; the CIFAR-10
            networks of these depths are ``resnet50-cifar`` and ``resnet152-cifar``. The plain twin
            of ``resnet50`` is ``plain50-bottleneck``, as ``plain50`` has 6n+2 layers.
        weights: whose: "deepres", "msra" (the authors'), "torchvision", ``hf:owner/name``, or a
            path. They decide the options below that are not given. The network takes prepared
            images; with the preparation that belongs to the weights it is ``load_model``'s.
        num_classes: classes to tell apart; by default 1000 for ImageNet networks, else 10. Where
            the weights have others, the last layer is new.
        shortcut: "A", "B" or "C" (§4.1) for ImageNet's residual networks; by default A for 18 and
            34 layers, as in Table 2, and B for 50 and more. Those for CIFAR-10 always have A.
        stride_on: where a bottleneck down-samples: "1x1", as in the paper and by default, or
            "3x3", as in torchvision.
        pool: the border of an ImageNet network's max pool: "pad", by default and as in torchvision,
            or "ceil", as in the authors' released Caffe models.
        residual_layers: how many layers a residual function of a CIFAR-10 network has: 2, as in the
            paper and by default, or 1, of which it saw no advantage (§3.2). The depth is the same.

    Raises:
        UserError: there is no such network, it has no such option, or there are no such weights.
    """
    options: dict[str, Any] = {
        "shortcut": shortcut,
        "stride_on": stride_on,
        "pool": pool,
        "residual_layers": residual_layers,
    }
    if weights is None:
        return models.build_network(name, num_classes=num_classes, **options)
    if num_classes is not None:
        num_classes = check_number_of_classes(num_classes)
    network = models.load_classifier(weights_for(name, weights)).network
    architecture = network.architecture
    for option, value in {"name": usual_name(name), **options}.items():
        if value is not None and architecture.get(option) != value:
            raise UserError(
                f"the weights of {weights} are of another network: their {option} is "
                f"{architecture.get(option)}, not {value}"
            )
    if num_classes is not None and num_classes != architecture["num_classes"]:
        _renew_last_layer(network, num_classes)
    return network.train()


def load_model(
    subject: str | Path,
    device: str | torch.device = "cpu",
    *,
    weights: str | Path | None = None,
    for_inference: bool = False,
) -> Classifier:
    """Load a trained classifier, ready for evaluation, with the preparation of its input.

    Args:
        subject: a run folder, or a .safetensors file that ``deepres train`` or ``import`` wrote; a
            network's name, e.g. resnet50; a run that comes with deepres, e.g. resnet20-s0; or
            ``hf:owner/name``. What is not at hand is fetched.
        device: where to put it.
        weights: whose weights a network's name stands for: "deepres" (they come with it), "msra"
            (the authors' own) or "torchvision"; by default the first of these that has any. Also
            ``hf:owner/name`` or a path.
        for_inference: make it faster: BN folded and, on a CPU, layers fused, as in a test there.
            The logits are the same to rounding, but it can be trained and saved no more.

    Raises:
        UserError: there are no such weights, they cannot be fetched, they are not deepres's, or
            they do not fit the network; or there is no such device.
    """
    if not isinstance(subject, str | Path):
        raise UserError(f"expected a run's folder, a file or a network's name, got {subject!r}")
    if isinstance(device, str):
        device = resolve_device(device)
    path = find_weights(subject) if weights is None else weights_for(str(subject), weights)
    classifier = models.load_classifier(path, device, for_inference=for_inference)
    if weights is not None and str(weights) not in SOURCES:
        check_network(classifier, str(subject), weights)
    return classifier


def check_network(classifier: Classifier, model: str, weights: str | Path) -> None:
    """Make sure that loaded ``weights`` are of the network called ``model``.

    Raises:
        UserError: they are of another.
    """
    name = classifier.network.architecture["name"]
    if name != usual_name(model):
        raise UserError(f"{weights} is of {name}, not of {model}; name {name}, or give others")


def _renew_last_layer(network: StagedNetwork, num_classes: int) -> None:
    """Put a new linear layer, He-initialised, in place of the last one."""
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    parent, _, name = layers[-1].rpartition(".")
    old = network.get_submodule(layers[-1])
    assert isinstance(old, nn.Linear)
    new = nn.Linear(old.in_features, num_classes)
    he_initialise(new)
    setattr(network.get_submodule(parent), name, new)
    network.architecture = {**network.architecture, "num_classes": num_classes}
