"""The released Caffe models: their layers' names, and what they compute."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from deepres.data.cifar10 import Cifar10
from deepres.errors import UserError
from deepres.models import Classifier
from deepres.models.create import build_empty
from deepres.models.exchange import import_weights
from deepres.models.exchange.caffe import Layer, encode_mean, encode_net
from deepres.models.exchange.caffe_layers import (
    RELEASED,
    convolutions,
    layers_from_state,
    state_from_layers,
)
from deepres.models.exchange.released_state import to_rgb_without_biases

# Blocks as in the released .prototxt files.
BLOCKS = {
    50: "2a 2b 2c 3a 3b 3c 3d 4a 4b 4c 4d 4e 4f 5a 5b 5c",
    101: "2a 2b 2c 3a 3b1 3b2 3b3 4a 4b1 4b2 4b3 4b4 4b5 4b6 4b7 4b8 4b9 4b10 4b11 4b12 4b13 4b14 "
    "4b15 4b16 4b17 4b18 4b19 4b20 4b21 4b22 5a 5b 5c",
    152: "2a 2b 2c 3a 3b1 3b2 3b3 3b4 3b5 3b6 3b7 4a 4b1 4b2 4b3 4b4 4b5 4b6 4b7 4b8 4b9 4b10 4b11 "
    "4b12 4b13 4b14 4b15 4b16 4b17 4b18 4b19 4b20 4b21 4b22 4b23 4b24 4b25 4b26 4b27 4b28 4b29 "
    "4b30 4b31 4b32 4b33 4b34 4b35 5a 5b 5c",
}
WIDTHS = {"2": 64, "3": 128, "4": 256, "5": 512}
SIDE, CLASSES = 64, 10
Blobs = dict[str, list[Tensor]]


def branches(block: str) -> list[str]:
    first = ["branch1"] if block.endswith("a") else []
    return [*first, "branch2a", "branch2b", "branch2c"]


@pytest.mark.parametrize("depth", BLOCKS)
def test_layers_have_the_released_names(depth: int) -> None:
    expected = [("conv1", "bn_conv1", "scale_conv1")]
    for block in BLOCKS[depth].split():
        names = [f"{block}_{branch}" for branch in branches(block)]
        expected += [(f"res{name}", f"bn{name}", f"scale{name}") for name in names]
    ours = convolutions(depth)
    assert [layer[:3] for layer in ours] == expected
    state = build_empty(f"resnet{depth}", **RELEASED).state_dict()
    assert sorted(f"{layer.conv}.weight" for layer in ours) == sorted(
        key for key in state if state[key].ndim == 4
    )


def test_names_by_hand() -> None:
    at = {layer.caffe: (layer.scale, layer.conv, layer.bn) for layer in convolutions(101)}
    assert at["res2a_branch1"] == (
        "scale2a_branch1",
        "layer1.0.downsample.0",
        "layer1.0.downsample.1",
    )
    assert at["res4b22_branch2b"] == ("scale4b22_branch2b", "layer3.22.conv2", "layer3.22.bn2")
    assert at["res5c_branch2c"] == ("scale5c_branch2c", "layer4.2.conv3", "layer4.2.bn3")
    at = {layer.caffe: (layer.scale, layer.conv, layer.bn) for layer in convolutions(50)}
    assert at["res4f_branch2a"] == ("scale4f_branch2a", "layer3.5.conv1", "layer3.5.bn1")


def random_blobs() -> Blobs:
    """ResNet-50 as it was released, with weights by chance: conv1 has a bias, BN has a factor."""
    generator = torch.Generator().manual_seed(3)
    blobs: Blobs = {}

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def add(name: str, out: int, into: int, kernel: int) -> None:
        res = name if name == "conv1" else f"res{name}"
        bn, scale = (
            f"{kind}_conv1" if name == "conv1" else kind + name for kind in ("bn", "scale")
        )
        weight = noise(out, into, kernel, kernel)
        blobs[res] = [weight * (2 / (into * kernel**2)) ** 0.5]
        factor = torch.rand(1, generator=generator) * 900 + 100
        mean = noise(out) * 0.2
        variance = torch.rand(out, generator=generator) + 0.5
        blobs[bn] = [mean * factor, variance * factor, factor]
        weight = torch.rand(out, generator=generator) + 0.5
        blobs[scale] = [weight * (0.4 if name.endswith("2c") else 1), noise(out) * 0.1]

    add("conv1", 64, 3, 7)
    blobs["conv1"][0] /= 60  # pixels go to 255
    blobs["conv1"].append(noise(64))
    channels = 64
    for block in BLOCKS[50].split():
        width = WIDTHS[block[0]]
        if block.endswith("a"):
            add(f"{block}_branch1", 4 * width, channels, 1)
        add(f"{block}_branch2a", width, channels, 1)
        add(f"{block}_branch2b", width, width, 3)
        add(f"{block}_branch2c", 4 * width, width, 1)
        channels = 4 * width
    blobs["fc1000"] = [noise(CLASSES, 2048) / 45, noise(CLASSES)]
    return blobs


def forward(blobs: Blobs, x: Tensor, layers: SimpleNamespace) -> Tensor:
    """What Caffe computes from ``data`` to ``fc1000``, layer by layer."""

    def conv_bn(x: Tensor, name: str, stride: int, padding: int) -> Tensor:
        x = F.conv2d(x, *blobs[f"res{name}"], stride=stride, padding=padding)
        return layers.scale(layers.batch_norm(x, *blobs[f"bn{name}"]), *blobs[f"scale{name}"])

    x = F.conv2d(x, *blobs["conv1"], stride=2, padding=3)
    x = layers.scale(layers.batch_norm(x, *blobs["bn_conv1"]), *blobs["scale_conv1"]).relu()
    x = layers.max_pool(x, 3, 2)
    for block in BLOCKS[50].split():
        stride = 2 if block in ("3a", "4a", "5a") else 1
        shortcut = conv_bn(x, f"{block}_branch1", stride, 0) if block.endswith("a") else x
        x = conv_bn(x, f"{block}_branch2a", stride, 0).relu()
        x = conv_bn(x, f"{block}_branch2b", 1, 1).relu()
        x = (shortcut + conv_bn(x, f"{block}_branch2c", 1, 0)).relu()
    return F.linear(x.mean((2, 3)), *blobs["fc1000"])


def as_layers(blobs: Blobs) -> dict[str, Layer]:
    return {name: Layer("", [blob.numpy() for blob in held]) for name, held in blobs.items()}


def state_of(layers: dict[str, Layer]) -> dict[str, Tensor]:
    bgr = state_from_layers(layers, "resnet50", Path("a"))
    return to_rgb_without_biases(bgr, "resnet50", Path("a"))


@pytest.fixture(scope="module")
def blobs() -> Blobs:
    return random_blobs()


@pytest.fixture(scope="module")
def mean() -> Tensor:
    """A mean image (3, SIDE, SIDE): B, G, R of pixels from 0 to 255."""
    x = torch.linspace(90, 130, SIDE)
    return torch.stack(
        [x.expand(SIDE, SIDE), x.flip(0).expand(SIDE, SIDE), 100 + 0 * x[:, None] + x]
    )


@pytest.fixture(scope="module")
def model_file(
    tmp_path_factory: pytest.TempPathFactory, blobs: Blobs, mean: Tensor
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("caffe")
    (folder / "net.caffemodel").write_bytes(encode_net("ResNet-50", as_layers(blobs)))
    (folder / "mean.binaryproto").write_bytes(encode_mean(mean.numpy()))
    yield folder / "net.caffemodel"
    (folder / "net.caffemodel").unlink()  # 90 MB, which pytest would keep


@torch.inference_mode()
def assert_computes_as_caffe(
    classifier: Classifier, images: Tensor, blobs: Blobs, mean: Tensor, layers: SimpleNamespace
) -> None:
    bgr = images.flip(1).float() - mean
    expected = forward(blobs, bgr, layers)
    assert expected.std() > 0.1
    error = (classifier(images) - expected).norm() / expected.norm()
    assert error < 1e-5


def test_resnet50_computes_what_caffe_computes(
    model_file: Path, blobs: Blobs, mean: Tensor, caffe_layers: SimpleNamespace, sample: Cifar10
) -> None:
    images = F.interpolate(sample.test.images[:2], size=(SIDE, SIDE))
    size = {"crop": SIDE, "short_side": SIDE}
    file = model_file.with_name("mean.binaryproto")
    classifier = import_weights(model_file, "resnet50", "caffe", mean=file, **size)
    assert_computes_as_caffe(classifier, images, blobs, mean, caffe_layers)
    said: list[str] = []
    classifier = import_weights(model_file, "resnet50", "caffe", say=said.append)
    assert (classifier.crop, classifier.short_side) == (224, 256)
    assert any("subtracting (123.68, 116.779, 103.939) from R, G, B" in line for line in said)
    usual = torch.tensor([103.939, 116.779, 123.68]).reshape(3, 1, 1)
    assert_computes_as_caffe(classifier, images, blobs, usual, caffe_layers)


def test_a_factor_of_zero_means_statistics_of_zero(blobs: Blobs) -> None:
    layers = as_layers(blobs)
    statistics = layers["bn5c_branch2c"].blobs
    layers["bn5c_branch2c"] = Layer("", [*statistics[:2], np.zeros(1, np.float32)])
    state = state_of(layers)
    assert state["layer4.2.bn3.running_mean"].eq(0).all()
    assert state["layer4.2.bn3.running_var"].eq(0).all()


def test_layers_and_tensors_turn_into_each_other(blobs: Blobs) -> None:
    state = state_of(as_layers(blobs))
    layers = layers_from_state(state, "resnet50", torch.ones(3))
    assert layers.keys() == blobs.keys()
    assert layers["conv1"].blobs[1].shape == (64,)  # the released .prototxt wants a bias
    again = state_of(layers)
    assert all(torch.equal(again[key], state[key]) for key in state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.pop("scale4f_branch2b"), "layer scale4f_branch2b is missing"),
        (lambda b: b.pop("fc1000"), "layer fc1000 is missing"),
        (lambda b: b.update(res4b1_branch2a=[torch.ones(1)]), "layer res4b1_branch2a is not part"),
        (lambda b: b["bn2a_branch1"].pop(), "layer bn2a_branch1 has 2 blobs, expected 3"),
        (lambda b: b["res2a_branch1"].append(torch.ones(256)), "branch1 has 2 blobs, expected 1"),
        (
            lambda b: b["res3a_branch2a"].__setitem__(0, torch.ones(128, 256, 3, 3)),
            r"blob 0 of layer res3a_branch2a has shape \(128, 256, 3, 3\), expected \(128, 256, 1",
        ),
        (
            lambda b: b["conv1"].__setitem__(1, torch.ones(3)),
            r"blob 1 of layer conv1 has shape \(3,\)",
        ),
    ],
)
def test_fit_is_strict(blobs: Blobs, change: Callable[[Blobs], object], message: str) -> None:
    changed = {name: list(held) for name, held in blobs.items()}
    change(changed)
    with pytest.raises(UserError, match=f"^net does not fit resnet50: .*{message}"):
        state_from_layers(as_layers(changed), "resnet50", Path("net"))


def test_the_older_format_pads_shapes_with_ones(blobs: Blobs) -> None:
    padded = {
        name: [blob.reshape((1,) * (4 - blob.ndim) + blob.shape) for blob in held]
        for name, held in blobs.items()
    }
    plain = state_of(as_layers(blobs))
    old = state_of(as_layers(padded))
    assert all(torch.equal(old[key], plain[key]) for key in plain)
