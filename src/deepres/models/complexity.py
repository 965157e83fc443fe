"""What a network costs: weighted layers, parameters, multiply-adds (Table 1)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepres.errors import UserError
from deepres.models.shapes import ShapesAlone
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
    with ShapesAlone():
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
        with ShapesAlone():
            return record_outputs(model, image, names)
    except RuntimeError as error:
        raise UserError(f"the network cannot take {input_size}×{input_size} images") from error
    finally:
        model.train(training)


def _multiply_adds(layer: nn.Module, output: Tensor) -> int:
    """Each output element is a dot product with one filter."""
    weight = layer.get_parameter("weight")  # (out, in/groups, kh, kw) or (out, in)
    return output[0].numel() * weight[0].numel()
