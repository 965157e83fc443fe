"""What Figures 3 and 5 show of a network, read off its modules."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from deepres.models.blocks import ZeroPad
from deepres.models.highway import HighwayLayer
from deepres.models.shapes import ShapesAlone
from deepres.models.stages import StagedNetwork, on_shortcut
from deepres.network_diagram import Diagram, Row, Shortcut, ShortcutKind


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
    image = torch.empty(1, 3, network.input_size, network.input_size, device=device)
    try:
        with ShapesAlone():
            network.eval()(image)
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


def _shortcut_kind(block: nn.Module) -> ShortcutKind | None:
    """Return what is on a block's shortcut; None without one."""
    if isinstance(block, HighwayLayer):
        return "gated"
    kinds: dict[type[nn.Module], ShortcutKind] = {
        nn.Identity: "identity",
        ZeroPad: "zero-padded",
        nn.Sequential: "projection",
    }
    return kinds.get(type(getattr(block, "downsample", None)))  # type: ignore[arg-type]


def _parents(name: str) -> list[str]:
    """Return ``name`` and the names of all modules that it is in, the nearest first."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts), 0, -1)]
