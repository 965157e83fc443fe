"""Caffe's messages by Google's own library, and Caffe's layers by plain tensor functions."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

# caffe.proto, as far as it is needed: message → field → (number, type); * is repeated.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "BlobShape": {"dim": (1, "*int64 packed")},
    "BlobProto": {
        "num": (1, "int32"),
        "channels": (2, "int32"),
        "height": (3, "int32"),
        "width": (4, "int32"),
        "data": (5, "*float packed"),
        "diff": (6, "*float packed"),
        "shape": (7, "BlobShape"),
        "double_data": (8, "*double packed"),
    },
    "ConvolutionParameter": {
        "num_output": (1, "uint32"),
        "bias_term": (2, "bool"),
        "pad": (3, "*uint32"),
        "kernel_size": (4, "*uint32"),
        "stride": (6, "*uint32"),
    },
    "PoolingParameter": {
        "pool": (1, "PoolMethod"),
        "kernel_size": (2, "uint32"),
        "stride": (3, "uint32"),
        "global_pooling": (12, "bool"),
    },
    "InnerProductParameter": {"num_output": (1, "uint32")},
    "BatchNormParameter": {"use_global_stats": (1, "bool")},
    "ScaleParameter": {"bias_term": (4, "bool")},
    "V1LayerParameter": {
        "bottom": (2, "*string"),
        "name": (4, "string"),
        "type": (5, "int32"),
        "blobs": (6, "*BlobProto"),
        "blobs_lr": (7, "*float"),
    },
    "LayerParameter": {
        "name": (1, "string"),
        "type": (2, "string"),
        "bottom": (3, "*string"),
        "top": (4, "*string"),
        "loss_weight": (5, "*float"),
        "blobs": (7, "*BlobProto"),
        "phase": (10, "int32"),
        "convolution_param": (106, "ConvolutionParameter"),
        "inner_product_param": (117, "InnerProductParameter"),
        "pooling_param": (121, "PoolingParameter"),
        "batch_norm_param": (139, "BatchNormParameter"),
        "scale_param": (142, "ScaleParameter"),
    },
    "NetParameter": {
        "name": (1, "string"),
        "layers": (2, "*V1LayerParameter"),
        "input": (3, "*string"),
        "input_dim": (4, "*int32"),
        "layer": (100, "*LayerParameter"),
    },
}


def build_messages(packed: bool) -> SimpleNamespace:
    """The messages as classes; with or without the packing of repeated numbers."""
    pytest.importorskip("google.protobuf", reason="deepres[onnx] brings it")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    fields = descriptor_pb2.FieldDescriptorProto
    package = f"caffe_{'packed' if packed else 'unpacked'}"
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto2"
    )
    method = file.enum_type.add(name="PoolMethod")
    for number, name in enumerate(("MAX", "AVE", "STOCHASTIC")):
        method.value.add(name=name, number=number)
    for message_name, members in MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, (number, kind) in members.items():
            repeated, packable = kind.startswith("*"), kind.endswith(" packed")
            kind = kind.removeprefix("*").removesuffix(" packed")
            field = message.field.add(name=name, number=number)
            field.label = fields.LABEL_REPEATED if repeated else fields.LABEL_OPTIONAL
            if kind in MESSAGES or kind == "PoolMethod":
                field.type = fields.TYPE_MESSAGE if kind in MESSAGES else fields.TYPE_ENUM
                field.type_name = f".{package}.{kind}"
            else:
                field.type = getattr(fields, f"TYPE_{kind.upper()}")
            if packable:
                field.options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    classes = message_factory.GetMessageClassesForFiles([file.name], pool)
    return SimpleNamespace(
        **{name.removeprefix(f"{package}."): message for name, message in classes.items()}
    )


@pytest.fixture(scope="session")
def caffe() -> SimpleNamespace:
    return build_messages(packed=True)


@pytest.fixture(scope="session")
def unpacked_caffe() -> SimpleNamespace:
    return build_messages(packed=False)


def batch_norm(x: Tensor, mean: Tensor, variance: Tensor, factor: Tensor) -> Tensor:
    share = 0.0 if factor.item() == 0 else 1 / factor.item()
    mean, variance = (share * statistic[:, None, None] for statistic in (mean, variance))
    return (x - mean) / (variance + 1e-5).sqrt()


def scale(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x * weight[:, None, None] + bias[:, None, None]


def max_pool(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Caffe rounds the number of windows up; what reaches over the border does not count."""
    missing = [-(side - kernel) % stride for side in x.shape[2:]]
    x = F.pad(x, (0, missing[1], 0, missing[0]), value=-torch.inf)
    return x.unfold(2, kernel, stride).unfold(3, kernel, stride).amax((4, 5))


@pytest.fixture(scope="session")
def caffe_layers() -> SimpleNamespace:
    return SimpleNamespace(batch_norm=batch_norm, scale=scale, max_pool=max_pool)


def run_net(net: Any, weights: dict[str, list[Tensor]], data: Tensor) -> dict[str, Tensor]:
    """Run the layers of a .prototxt in order, as Caffe does, and return their tops."""
    tops = {net.input[0]: data}
    for layer in net.layer:
        blobs, x = weights.get(layer.name, []), tops[layer.bottom[0]]
        if layer.type == "Convolution":
            p = layer.convolution_param
            assert len(blobs) == (2 if p.bias_term else 1)
            assert blobs[0].shape == (p.num_output, x.shape[1], *(2 * [p.kernel_size[0]]))
            x = F.conv2d(x, *blobs, stride=p.stride[0], padding=p.pad[0])
        elif layer.type == "BatchNorm":
            assert layer.batch_norm_param.use_global_stats
            x = batch_norm(x, *blobs)
        elif layer.type == "Scale":
            assert layer.scale_param.bias_term
            x = scale(x, *blobs)
        elif layer.type == "ReLU":
            x = x.relu()
        elif layer.type == "Eltwise":
            x = x + tops[layer.bottom[1]]
        elif layer.type == "Pooling" and layer.pooling_param.global_pooling:
            assert layer.pooling_param.pool == 1  # AVE
            x = x.mean((2, 3), keepdim=True)
        elif layer.type == "Pooling":
            assert layer.pooling_param.pool == 0  # MAX
            x = max_pool(x, layer.pooling_param.kernel_size, layer.pooling_param.stride)
        elif layer.type == "InnerProduct":
            assert len(blobs[0]) == layer.inner_product_param.num_output
            x = F.linear(x.flatten(1), *blobs)
        else:
            assert layer.type == "Softmax"
            x = x.softmax(1)
        tops[layer.top[0]] = x
    return tops


@pytest.fixture(scope="session")
def run_caffe() -> Callable[..., dict[str, Tensor]]:
    return run_net
