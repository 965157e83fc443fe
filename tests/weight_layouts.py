"""One network's weights, written as other programs write the authors' models."""

import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from deepres.models import StagedNetwork, build_network

STAGES = (3, 4, 6, 3)


def trained_like(name: str, **options: Any) -> StagedNetwork:
    """A network whose BN has statistics and weights that a trained one could have."""
    torch.manual_seed(0)
    network = build_network(name, num_classes=4, **options).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 0.9)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.2, 0.2)
    return network


def convolutions() -> list[tuple[str, str]]:
    """ResNet-50's convolutions and their BN, in no program's words but ours."""
    found = [("conv1", "bn1")]
    for stage, count in enumerate(STAGES, start=1):
        for block in range(count):
            prefix = f"layer{stage}.{block}"
            if block == 0:
                found.append((f"{prefix}.downsample.0", f"{prefix}.downsample.1"))
            found += [(f"{prefix}.conv{i}", f"{prefix}.bn{i}") for i in (1, 2, 3)]
    return found


def in_bgr_with_biases(network: nn.Module, biased: set[str]) -> dict[str, Tensor]:
    """The same function of BGR images, with a bias before the BN of each layer in ``biased``."""
    state = {k: v.clone() for k, v in network.state_dict().items() if "num_batches" not in k}
    state["conv1.weight"] = state["conv1.weight"].flip(1)
    for conv, bn in convolutions():
        if conv in biased:
            bias = torch.linspace(-0.3, 0.3, len(state[f"{bn}.bias"]))
            state[f"{conv}.bias"] = bias
            state[f"{bn}.running_mean"] = state[f"{bn}.running_mean"] + bias
    return state


def write_openmmlab(network: nn.Module, file: Path) -> None:
    torch.save({"state_dict": in_bgr_with_biases(network, {"conv1"})}, file)


def detectron_arrays(network: nn.Module, merged: bool) -> dict[str, np.ndarray]:
    biased = {conv for conv, _ in convolutions()} if merged else {"conv1"}
    state = {k: v.numpy() for k, v in in_bgr_with_biases(network, biased).items()}
    arrays = {"fc1000_w": state["fc.weight"], "fc1000_b": state["fc.bias"]}
    for conv, bn in convolutions():
        theirs, their_bn = "conv1", "res_conv1_bn"
        if conv != "conv1":
            stage, block, kind = conv.removeprefix("layer").split(".")[:3]
            branch = "branch1" if kind == "downsample" else f"branch2{'abc'[int(kind[-1]) - 1]}"
            theirs = f"res{int(stage) + 1}_{block}_{branch}"
            their_bn = f"{theirs}_bn"
        arrays[f"{theirs}_w"] = state[f"{conv}.weight"]
        if conv in biased:
            arrays[f"{theirs}_b"] = state[f"{conv}.bias"]
        scale, shift = state[f"{bn}.weight"], state[f"{bn}.bias"]
        mean, variance = state[f"{bn}.running_mean"], state[f"{bn}.running_var"]
        if merged:
            arrays[f"{their_bn}_s"] = scale / np.sqrt(variance + np.float32(1e-5))
            arrays[f"{their_bn}_b"] = shift - mean * arrays[f"{their_bn}_s"]
        else:
            arrays |= {f"{their_bn}_gamma": scale, f"{their_bn}_beta": shift}
            arrays |= {f"{their_bn}_running_mean": mean, f"{their_bn}_running_var": variance}
    return arrays


def write_detectron2(network: nn.Module, file: Path) -> None:
    file.write_bytes(python2_pickle(detectron_arrays(network, merged=False)))


def write_detectron(network: nn.Module, file: Path) -> None:
    blobs = detectron_arrays(network, merged=True)
    file.write_bytes(pickle.dumps({"blobs": {**blobs, "conv1_w_momentum": blobs["conv1_w"]}}))


class _Python2(pickle._Pickler):  # the one in Python, whose parts can be replaced
    """Writes bytes as Python 2 wrote its strings."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_string


def python2_pickle(value: object) -> bytes:
    """``value`` as NumPy 1 on Python 2 pickled it."""
    content = io.BytesIO()
    _Python2(content, protocol=2).dump(value)
    return content.getvalue().replace(b"cnumpy._core", b"cnumpy.core")


def write_keras(network: nn.Module, file: Path) -> None:
    import h5py

    state = in_bgr_with_biases(network, {conv for conv, _ in convolutions()})
    with h5py.File(file, "w") as content:

        def put(layer: str, kind: str, array: Tensor) -> None:
            content.create_dataset(f"{layer}/{layer}/{kind}:0", data=array.numpy())

        for conv, bn in convolutions():
            prefix = "conv1"
            if conv != "conv1":
                stage, block, kind = conv.removeprefix("layer").split(".")[:3]
                number = 0 if kind == "downsample" else int(kind[-1])
                prefix = f"conv{int(stage) + 1}_block{int(block) + 1}_{number}"
            put(f"{prefix}_conv", "kernel", state[f"{conv}.weight"].permute(2, 3, 1, 0))
            put(f"{prefix}_conv", "bias", state[f"{conv}.bias"])
            put(f"{prefix}_bn", "gamma", state[f"{bn}.weight"])
            put(f"{prefix}_bn", "beta", state[f"{bn}.bias"])
            put(f"{prefix}_bn", "moving_mean", state[f"{bn}.running_mean"])
            put(f"{prefix}_bn", "moving_variance", state[f"{bn}.running_var"])
        put("probs", "kernel", state["fc.weight"].T)
        put("probs", "bias", state["fc.bias"])


Writer = Callable[[nn.Module, Path], None]
WRITERS: dict[str, tuple[str, str, Writer]] = {
    "openmmlab": ("openmmlab", "a.pth", write_openmmlab),
    "detectron2": ("detectron", "a.pkl", write_detectron2),
    "detectron": ("detectron", "b.pkl", write_detectron),
    "keras": ("keras", "a.h5", write_keras),
}
"""By layout: what --from calls it, a file name, and what writes it."""
MEANS_BGR = {
    "openmmlab": (103.53, 116.28, 123.675),
    "detectron": (103.53, 116.28, 123.675),
    "keras": (103.939, 116.779, 123.68),
}
"""As these programs subtract them, from pixels of 0 to 255."""


def to_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of torchvision's under the names of the library transformers."""
    renamed = {}
    for key, tensor in state.items():
        *path, kind = key.split(".")
        part = "convolution" if "conv" in path[-1] or path[-1] == "0" else "normalization"
        if path[0] == "fc":
            name = f"classifier.1.{kind}"
        elif path[0] in ("conv1", "bn1"):
            name = f"resnet.embedder.embedder.{part}.{kind}"
        else:
            block = f"resnet.encoder.stages.{int(path[0][-1]) - 1}.layers.{path[1]}"
            place = "shortcut" if path[2] == "downsample" else f"layer.{int(path[2][-1]) - 1}"
            name = f"{block}.{place}.{part}.{kind}"
        renamed[name] = tensor
    return renamed
