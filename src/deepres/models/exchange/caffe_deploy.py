"""A .prototxt for Caffe: the layers of ResNet-50, 101 and 152 for testing, as text."""

from deepres.models.exchange.caffe_layers import (
    DEPTHS,
    FC,
    Convolution,
    block_labels,
    convolutions,
    has_biased_stem,
)


def deploy_text(name: str, num_classes: int, crop: int) -> str:
    """Return the deploy .prototxt of ``resnet50``, ``resnet101`` or ``resnet152``, a layer a line.

    The data are BGR images (1, 3, crop, crop) with pixels from 0 to 255, less the mean. The last
    pooling is global, so that images of other sizes can be put in too.
    """
    stem, *layers = convolutions(DEPTHS[name])
    lines = [f'name: "{name}"', 'input: "data"']
    lines += [f"input_dim: {dim}" for dim in (1, 3, crop, crop)]
    lines += _conv_bn(stem, "data", 64, kernel=7, stride=2, biased=has_biased_stem(name))
    lines += [
        _relu("conv1"),
        _layer(
            "pool1", "Pooling", ["conv1"], "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
        ),
    ]
    top = "pool1"
    for label, block in block_labels(DEPTHS[name]):
        members = [layer for layer in layers if layer.conv.startswith(f"{block}.")]
        lines += _block(label, members, top)
        top = f"res{label}"
    pool = "pooling_param { pool: AVE global_pooling: true }"
    linear = f"inner_product_param {{ num_output: {num_classes} }}"
    lines += [
        _layer("pool5", "Pooling", [top], pool),
        _layer(FC, "InnerProduct", ["pool5"], linear),
        _layer("prob", "Softmax", [FC]),
    ]
    return "\n".join(lines) + "\n"


def _block(label: str, members: list[Convolution], bottom: str) -> list[str]:
    """A bottleneck; the first of a stage has a projection, and halves the map after conv2_x."""
    *projection, reduce, process, restore = members
    stage = int(label[0])
    width = 64 << (stage - 2)
    stride = 2 if projection and stage > 2 else 1
    lines, shortcut = [], bottom
    for layer in projection:
        lines += _conv_bn(layer, bottom, 4 * width, stride=stride)
        shortcut = layer.caffe
    lines += [*_conv_bn(reduce, bottom, width, stride=stride), _relu(reduce.caffe)]
    lines += [*_conv_bn(process, reduce.caffe, width, kernel=3), _relu(process.caffe)]
    lines += _conv_bn(restore, process.caffe, 4 * width)
    total = f"res{label}"
    return [*lines, _layer(total, "Eltwise", [shortcut, restore.caffe]), _relu(total)]


def _conv_bn(
    layer: Convolution,
    bottom: str,
    channels: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    biased: bool = False,
) -> list[str]:
    """A convolution, and its BatchNorm and Scale, which work in place."""
    settings = (
        f"num_output: {channels} kernel_size: {kernel} pad: {kernel // 2} stride: {stride} "
        f"bias_term: {str(biased).lower()}"
    )
    top = layer.caffe
    return [
        _layer(top, "Convolution", [bottom], f"convolution_param {{ {settings} }}"),
        _layer(
            layer.batch_norm, "BatchNorm", [top], "batch_norm_param { use_global_stats: true }", top
        ),
        _layer(layer.scale, "Scale", [top], "scale_param { bias_term: true }", top),
    ]


def _relu(top: str) -> str:
    return _layer(f"{top}_relu", "ReLU", [top], top=top)


def _layer(name: str, kind: str, bottoms: list[str], settings: str = "", top: str = "") -> str:
    inputs = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
    parts = [f'name: "{name}" type: "{kind}" {inputs} top: "{top or name}"', settings]
    return f"layer {{ {' '.join(filter(None, parts))} }}"
