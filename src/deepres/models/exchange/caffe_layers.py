"""The layers of the authors' released Caffe models, and the tensors of ours that they hold.

In Caffe a batch normalisation is two layers: BatchNorm holds the statistics, times a factor that is
the third blob, and Scale holds weight and bias. Images are BGR with pixels from 0 to 255.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deepres.errors import UserError
from deepres.models.create import build_empty
from deepres.models.exchange.caffe import Blob, Layer
from deepres.models.resnet import IMAGENET

DEPTHS = {"resnet50": 50, "resnet101": 101, "resnet152": 152}
RELEASED: dict[str, Any] = {"shortcut": "B", "stride_on": "1x1", "pool": "ceil"}
FC = "fc1000"


class Convolution(NamedTuple):
    """A convolution and its batch normalisation: three layers in Caffe, two modules here."""

    caffe: str
    batch_norm: str
    scale: str
    conv: str
    bn: str


def block_labels(depth: int) -> list[tuple[str, str]]:
    """Return each block's label in Caffe and its name here: ("3b1", "layer2.1").

    Letters count a stage's blocks, but in conv3_x and conv4_x of 101 and 152 layers: a, b1, b2, …
    """
    labels = []
    for stage, count in enumerate(IMAGENET[depth][1], start=2):
        numbered = depth > 50 and stage in (3, 4)
        for i in range(count):
            letter = f"b{i}" if numbered and i > 0 else chr(ord("a") + i)
            labels.append((f"{stage}{letter}", f"layer{stage - 1}.{i}"))
    return labels


def convolutions(depth: int) -> list[Convolution]:
    """Return every convolution of ResNet-50, 101 or 152, in the order of the released models."""
    found = [Convolution("conv1", "bn_conv1", "scale_conv1", "conv1", "bn1")]
    for label, block in block_labels(depth):
        branches = [(f"branch2{'abc'[i]}", f"conv{i + 1}", f"bn{i + 1}") for i in range(3)]
        if block.endswith(".0"):
            branches.insert(0, ("branch1", "downsample.0", "downsample.1"))
        for branch, conv, bn in branches:
            res, batch_norm, scale = (f"{kind}{label}_{branch}" for kind in ("res", "bn", "scale"))
            ours = (f"{block}.{conv}", f"{block}.{bn}")
            found.append(Convolution(res, batch_norm, scale, *ours))
    return found


def has_biased_stem(name: str) -> bool:
    """Tell whether conv1 of the released model has a bias, though a BN follows it."""
    return name == "resnet50"


def check_released(name: str) -> None:
    """Make sure that there is a released model called ``name``.

    Raises:
        UserError: there is none.
    """
    if name not in DEPTHS:
        raise UserError(f"released models are known for {', '.join(DEPTHS)}, not for {name}")


def state_from_layers(layers: dict[str, Layer], name: str, file: Path) -> dict[str, Tensor]:
    """Return the tensors of Caffe's layers under our names; conv1 takes BGR, and may have a bias.

    Raises:
        UserError: a layer is missing, superfluous or of another shape; it is named.
    """
    head = layers[FC].blobs[0] if FC in layers else None
    num_classes = head.shape[-2] if head is not None and head.ndim > 1 else 1000
    expected = build_empty(name, num_classes=num_classes, **RELEASED).state_dict()
    blobs = _fit(layers, name, expected, file)
    state = {}
    for layer in convolutions(DEPTHS[name]):
        for kind, blob in zip(("weight", "bias"), blobs[layer.caffe], strict=False):
            state[f"{layer.conv}.{kind}"] = blob
        mean, variance, factor = blobs[layer.batch_norm]
        share = np.float32(0 if factor[0] == 0 else 1 / factor[0])  # as in Caffe
        state[f"{layer.bn}.running_mean"] = mean * share
        state[f"{layer.bn}.running_var"] = variance * share
        state[f"{layer.bn}.weight"], state[f"{layer.bn}.bias"] = blobs[layer.scale]
    state["fc.weight"], state["fc.bias"] = blobs[FC]
    return {key: torch.from_numpy(np.array(blob)) for key, blob in state.items()}


def layers_from_state(state: dict[str, Tensor], name: str, pixel_scale: Tensor) -> dict[str, Layer]:
    """Turn a state dict into Caffe's layers.

    ResNet-50's conv1 gets a bias of zeros, so that it fits the released .prototxt too.

    Args:
        state: the released network's tensors.
        name: resnet50, resnet101 or resnet152.
        pixel_scale: what the network's input is, per unit of Caffe's input, for R, G and B (3,).
    """
    blobs = {key: tensor.detach().cpu().numpy() for key, tensor in state.items()}
    layers = {}
    for layer in convolutions(DEPTHS[name]):
        weight = [blobs[f"{layer.conv}.weight"]]
        if layer.caffe == "conv1":
            scaled = weight[0] * pixel_scale.cpu().numpy()[:, None, None]
            weight = [np.ascontiguousarray(scaled[:, ::-1])]
            if has_biased_stem(name):
                weight.append(np.zeros(len(scaled), np.float32))
        statistics = [blobs[f"{layer.bn}.running_mean"], blobs[f"{layer.bn}.running_var"]]
        affine = [blobs[f"{layer.bn}.weight"], blobs[f"{layer.bn}.bias"]]
        layers[layer.caffe] = Layer("Convolution", weight)
        layers[layer.batch_norm] = Layer("BatchNorm", [*statistics, np.ones(1, np.float32)])
        layers[layer.scale] = Layer("Scale", affine)
    layers[FC] = Layer("InnerProduct", [blobs["fc.weight"], blobs["fc.bias"]])
    return layers


def _fit(
    layers: dict[str, Layer], name: str, expected: dict[str, Tensor], file: Path
) -> dict[str, list[Blob]]:
    """Compare a file's layers with a network's, strictly, and return their blobs in its shapes."""
    shapes = {FC: [expected["fc.weight"].shape, expected["fc.bias"].shape]}
    for layer in convolutions(DEPTHS[name]):
        weight = expected[f"{layer.conv}.weight"].shape
        channels = weight[:1]
        shapes[layer.caffe] = [weight]
        shapes[layer.batch_norm] = [channels, channels, torch.Size([1])]
        shapes[layer.scale] = [channels, channels]
    if "conv1" in layers and len(layers["conv1"].blobs) == 2:
        shapes["conv1"] = [*shapes["conv1"], shapes["bn_conv1"][0]]

    def refuse(what: str) -> UserError:
        return UserError(f"{file} does not fit {name}: {what}")

    fitted: dict[str, list[Blob]] = {}
    for layer_name, wanted in shapes.items():
        if layer_name not in layers:
            raise refuse(f"layer {layer_name} is missing")
        found = layers[layer_name].blobs
        if len(found) != len(wanted):
            raise refuse(f"layer {layer_name} has {len(found)} blobs, expected {len(wanted)}")
        for i, (blob, shape) in enumerate(zip(found, wanted, strict=True)):
            # The older format pads shapes to four dimensions, with ones in front.
            padded = (1,) * (blob.ndim - len(shape)) + tuple(shape)
            if blob.shape != padded:
                raise refuse(
                    f"blob {i} of layer {layer_name} has shape {blob.shape}, "
                    f"expected {tuple(shape)}"
                )
        fitted[layer_name] = [b.reshape(s) for b, s in zip(found, wanted, strict=True)]
    if extra := layers.keys() - shapes.keys():
        raise refuse(f"layer {min(extra)} is not part of it")
    return fitted
