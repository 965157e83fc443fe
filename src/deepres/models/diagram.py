"""What Figures 3 and 5 show of a network, as plain data: its layers in order, and its shortcuts."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from deepres.models.blocks import ZeroPad
from deepres.models.highway import HighwayLayer
from deepres.models.stages import StagedNetwork, on_shortcut

Kind = Literal["identity", "zero-padded", "projection", "gated"]
"""What is on a shortcut. Figure 3 draws those dotted that increase dimensions: zero-padded ones,
and projections whose ends differ in channels or size."""


@dataclass(frozen=True)
class Row:
    """One box of Figure 3."""

    label: str
    """As in the paper: "3×3 conv, 128, /2", "pool, /2", "avg pool", "fc 1000"."""
    stage: str
    """The paper's name: conv1, conv2_x, …, fc."""
    module: str
    """Its name in the state dict, by which responses go too."""
    channels: int
    """Of its output: filters, or units of a fully connected layer."""
    size: int
    """Side of its output in pixels; 1 for fully connected layers."""


@dataclass(frozen=True)
class Shortcut:
    """One curved arrow of Figure 3."""

    start: int
    """The place in ``rows`` of the layer whose output it carries; after that layer's addition, if
    there is one."""
    end: int
    """The place of the layer to whose output it is added, or with which it is mixed by a gate."""
    kind: Kind


@dataclass(frozen=True)
class Diagram:
    """A network as it is drawn."""

    name: str
    input_size: int
    """Side of the image in pixels."""
    rows: tuple[Row, ...]
    shortcuts: tuple[Shortcut, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def diagram(network: StagedNetwork) -> Diagram:
    """Read a network's diagram off its modules, as they run on one image of its own size.

    The network may be on the meta device, where this costs nothing.
    """
    stages = {module: stage for stage, modules in network.stages.items() for module in modules}
    rows: list[Row] = []

    def stage_of(name: str) -> str:
        return next(stages[part] for part in _parents(name) if part in stages)

    def recorder(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def record(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            if label := _label(module, inputs[0], output):
                size = output.shape[-1] if output.ndim == 4 else 1
                rows.append(Row(label, stage_of(name), name, output.shape[1], size))

        return record

    modules = {n: m for n, m in network.named_modules() if not on_shortcut(n)}
    handles = [module.register_forward_hook(recorder(name)) for name, module in modules.items()]
    training, device = network.training, next(network.parameters()).device
    try:
        network.eval()(torch.empty(1, 3, network.input_size, network.input_size, device=device))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()

    shortcuts = []
    for name, module in modules.items():
        if kind := _shortcut_kind(module):
            inside = [i for i, row in enumerate(rows) if row.module.startswith(f"{name}.")]
            shortcuts.append(Shortcut(inside[0] - 1, inside[-1], kind))
    own_name = str(network.architecture["name"])
    return Diagram(own_name, network.input_size, tuple(rows), tuple(shortcuts))


def _label(module: nn.Module, x: Tensor, output: Tensor) -> str:
    """Return what Figure 3 writes into a layer's box; nothing for what has no box."""
    halved = ", /2" if x.shape[-1] > output.shape[-1] else ""
    if isinstance(module, nn.Conv2d):
        side = module.kernel_size[0]
        return f"{side}×{side} conv, {module.out_channels}{halved}"
    if isinstance(module, nn.MaxPool2d):
        return f"pool{halved}"
    if isinstance(module, nn.AdaptiveAvgPool2d) and halved:  # VGG's leaves 7×7 as it is
        return "avg pool"
    return f"fc {module.out_features}" if isinstance(module, nn.Linear) else ""


def _shortcut_kind(block: nn.Module) -> Kind | None:
    """Return what is on a block's shortcut; None without one."""
    if isinstance(block, HighwayLayer):
        return "gated"
    kinds: dict[type[nn.Module], Kind] = {
        nn.Identity: "identity",
        ZeroPad: "zero-padded",
        nn.Sequential: "projection",
    }
    return kinds.get(type(getattr(block, "downsample", None)))  # type: ignore[arg-type]


def _parents(name: str) -> list[str]:
    """Return ``name`` and the names of all modules that it is in, the nearest first."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts), 0, -1)]
