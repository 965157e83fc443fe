"""What all networks share: stages with the paper's names, and access to what they compute."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch import Tensor, nn


class Intermediates(NamedTuple):
    """What a network computed on its way to the logits."""

    logits: Tensor
    """(N, num_classes)."""
    stages: dict[str, Tensor]
    """The output of each stage, (N, C, H, W), by the paper's name: conv1, conv2_x, …, fc."""
    responses: dict[str, Tensor]
    """Each 3×3 layer's response, (N, C, H, W), by the name of its convolution in the state dict:
    after BN and before the nonlinearity or addition, as in Figure 7."""


class StagedNetwork(nn.Module):
    """A network that runs its stages in order.

    ``stages`` maps the paper's name of each stage (conv1, conv2_x, …, fc) to the modules that it
    runs, by their names in the state dict. ``input_size`` is the side, in pixels, of the images
    that it was made for. ``architecture`` holds arguments of ``create_model`` that build it
    again: its name and all the options that it has, those by default included.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.stages: dict[str, tuple[str, ...]] = {}
        self.architecture: dict[str, Any] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, num_classes)."""
        return self.head(self.feature_map(x))

    def feature_map(self, x: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to the output (N, C, h, w) of the last convolutional stage."""
        return self._run([name for name in self.stages if name != "fc"], x)

    def run_to(self, stage: str, x: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to the output of ``stage``, (N, C, h, w), and run no further."""
        names = list(self.stages)
        return self._run(names[: names.index(stage) + 1], x)

    def head(self, x: Tensor) -> Tensor:
        """Map features (N, C, h, w) to logits (N, num_classes): stage ``fc``."""
        return self._run(["fc"], x)

    def _run(self, stages: Iterable[str], x: Tensor) -> Tensor:
        for stage in stages:
            for name in self.stages[stage]:
                x = self.get_submodule(name)(x)
        return x

    def intermediates(self, x: Tensor) -> Intermediates:
        """Run the network on images (N, 3, H, W) and keep what it computes, for study."""
        stage_ends = {stage: modules[-1] for stage, modules in self.stages.items()}
        responders = self._responders()
        outputs = record_outputs(self, x, {*stage_ends.values(), *responders.values()})
        return Intermediates(
            logits=outputs[stage_ends["fc"]],
            stages={stage: outputs[name] for stage, name in stage_ends.items()},
            responses={layer: outputs[name] for layer, name in responders.items()},
        )

    def _responders(self) -> dict[str, str]:
        """Each 3×3 layer, and the module whose output is its response: its BN, if it has one."""
        modules = dict(self.named_modules())
        layers = [
            name
            for name, module in modules.items()
            if isinstance(module, nn.Conv2d)
            and module.kernel_size == (3, 3)
            and not on_shortcut(name)
        ]
        batch_norms = {name: name.replace("conv", "bn") for name in layers}
        return {name: bn if bn in modules else name for name, bn in batch_norms.items()}


def on_shortcut(name: str) -> bool:
    """Tell whether the layer called ``name`` projects or gates a shortcut: no part of the depth."""
    return ".downsample." in name or name.endswith(".gate")


def record_outputs(model: nn.Module, x: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """Run ``model`` on ``x`` and return the outputs of the modules called ``names``."""
    outputs: dict[str, Tensor] = {}

    def recorder(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, inputs, output: outputs.__setitem__(name, output)

    handles = [model.get_submodule(name).register_forward_hook(recorder(name)) for name in names]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return outputs
