"""What a network costs: weighted layers, parameters, multiply-adds (Table 1)."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from deepres.errors import UserError
from deepres.models.stages import StagedNetwork, on_shortcut, record_outputs


@dataclass(frozen=True)
class StageCost:
    """One row of Table 1."""

    name: str
    output: tuple[int, ...]
    """The shape of the stage's output for one image, (C, H, W) or (classes,)."""
    layers: int
    """Weighted layers: convolutions and fully connected layers, without those on shortcuts."""
    parameters: int
    multiply_adds: int


def stage_costs(model: StagedNetwork, input_size: int) -> list[StageCost]:
    """Return what each stage costs for one image of ``input_size``² pixels.

    As in the paper, "FLOPs" are the multiply-adds of convolutions (projections included, and the
    gates of highway networks) and fully connected layers. ``model`` may be on the meta device: no
    arithmetic is done there.

    Raises:
        UserError: the image is too small for the network.
    """
    layers = _layers(model)
    ends = {modules[-1] for modules in model.stages.values()}
    outputs = _outputs(model, {*layers, *ends}, input_size)

    def cost(stage: str, modules: tuple[str, ...]) -> StageCost:
        inside = [n for n in layers if any(n == m or n.startswith(f"{m}.") for m in modules)]
        return StageCost(
            name=stage,
            output=tuple(outputs[modules[-1]].shape[1:]),
            layers=sum(not on_shortcut(name) for name in inside),
            parameters=sum(p.numel() for m in modules for p in model.get_submodule(m).parameters()),
            multiply_adds=sum(_multiply_adds(layers[name], outputs[name]) for name in inside),
        )

    return [cost(stage, modules) for stage, modules in model.stages.items()]


def total_cost(model: StagedNetwork, input_size: int) -> StageCost:
    """Return what the whole network costs for one image of ``input_size``² pixels."""
    stages = stage_costs(model, input_size)
    return StageCost(
        name="total",
        output=stages[-1].output,
        layers=sum(stage.layers for stage in stages),
        parameters=sum(stage.parameters for stage in stages),
        multiply_adds=sum(stage.multiply_adds for stage in stages),
    )


def block_cost(model: StagedNetwork, block: str, input_size: int) -> tuple[int, int]:
    """Return the weights and multiply-adds of a part of the network, for one image.

    Weights are those of convolutions and fully connected layers, projections included.

    Args:
        model: it may be on the meta device.
        block: the part's name in the state dict, "layer1.1"; nothing: the whole network.
        input_size: the side of the image, in pixels.

    Raises:
        UserError: the image is too small for the network.
    """
    layers = _layers(model, block)
    outputs = _outputs(model, set(layers), input_size)
    weights = sum(layer.weight.numel() for layer in layers.values())
    return weights, sum(_multiply_adds(layers[name], outputs[name]) for name in layers)


@dataclass(frozen=True)
class Traffic:
    """How many numbers a forward pass must at least move, if no cache outlives a layer.

    Each convolution and fully connected layer reads its input and its weights and writes its
    output, once; all else (BN, ReLU, sums, pooling) is fused into these and moves nothing more.
    """

    activations: int
    """For one image."""
    weights: int
    """For one batch of images, of any size."""


def least_traffic(model: StagedNetwork, input_size: int) -> Traffic:
    """Return what the network must move for images of ``input_size``² pixels.

    ``model`` is in evaluation mode and may be on the meta device.
    """
    moved = []

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        moved.append(inputs[0].numel() + output.numel())

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    with _ShapesAlone():
        model(torch.empty(1, 3, input_size, input_size, device=layers[0].weight.device))
    for handle in handles:
        handle.remove()
    return Traffic(sum(moved), sum(layer.weight.numel() for layer in layers))


def _layers(model: StagedNetwork, part: str = "") -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the layers that count, of a part of the network or of all of it."""
    modules = model.get_submodule(part).named_modules(prefix=part)
    return {name: layer for name, layer in modules if isinstance(layer, nn.Conv2d | nn.Linear)}


def _outputs(model: StagedNetwork, names: set[str], input_size: int) -> dict[str, Tensor]:
    """Return the outputs of the modules called ``names``, of which the shapes alone are right."""
    if input_size < 1:
        raise UserError(f"images have a side of at least 1 pixel, got {input_size}")
    device = next(model.parameters()).device
    training = model.training
    model.eval()  # one image may leave one pixel, of which training-mode BN has no variance
    try:
        image = torch.empty(1, 3, input_size, input_size, device=device)
        with _ShapesAlone():
            return record_outputs(model, image, names)
    except RuntimeError as error:
        raise UserError(f"the network cannot take {input_size}×{input_size} images") from error
    finally:
        model.train(training)


class _ShapesAlone(TorchFunctionMode):
    """Leaves out what keeps a shape as it is, and works out those of layers and means.

    The meta device would do it, but imports PyTorch's compiler, which takes seconds.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in (F.batch_norm, F.relu, Tensor.add, torch.sigmoid, torch.lerp):
            return args[0]
        if function is F.conv2d:
            return _convolved(*args, **(kwargs or {}))
        if function is F.adaptive_avg_pool2d:
            sides = (args[1], args[1]) if isinstance(args[1], int) else args[1]
            return args[0].new_empty(*args[0].shape[:2], *sides)
        if function in (F.max_pool2d, F.avg_pool2d):  # in truth, on one channel
            x = args[0]
            pooled = function(torch.zeros(1, 1, *x.shape[2:]), *args[1:], **(kwargs or {}))
            return x.new_empty(*x.shape[:2], *pooled.shape[2:])
        if function is F.linear:
            return args[0].new_empty(*args[0].shape[:-1], args[1].shape[0])
        return function(*args, **(kwargs or {}))


def _convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    *_: object,
) -> Tensor:
    """Return a tensor of the shape that the convolution puts out."""
    whole = zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True)
    sides = [(side + 2 * pad - kernel) // step + 1 for side, kernel, step, pad in whole]
    return x.new_empty(x.shape[0], weight.shape[0], *sides)


def _multiply_adds(layer: nn.Module, output: Tensor) -> int:
    """Each output element is a dot product with one filter."""
    weight = layer.get_parameter("weight")  # (out, in/groups, kh, kw) or (out, in)
    return output[0].numel() * weight[0].numel()
