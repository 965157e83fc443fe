"""What a stage is made of, in the words of Table 1."""

import itertools

from torch import nn

from deepres.models.highway import HighwayLayer
from deepres.models.stages import StagedNetwork, on_shortcut


def describe(model: StagedNetwork, stage: str) -> str:
    """Return what a stage is made of, as in Table 1, e.g. ``[3×3, 64; 3×3, 64]×3``."""
    parts: list[str] = []
    for name in model.stages[stage]:
        module = model.get_submodule(name)
        blocks = module if isinstance(module, nn.Sequential) else [module]
        parts += filter(None, map(_describe_block, blocks))
    runs = [(part, len(list(same))) for part, same in itertools.groupby(parts)]
    return ", ".join(f"[{part}]×{count}" if count > 1 else part for part, count in runs)


def _describe_block(block: nn.Module) -> str:
    """The layers of a block, or the one layer that ``block`` is; shortcuts are left out."""
    texts = []
    gated = ", gated" if isinstance(block, HighwayLayer) else ""
    for name, module in block.named_modules():
        if isinstance(module, nn.Conv2d) and not on_shortcut(f".{name}"):
            kernel, stride = module.kernel_size[0], module.stride[0]
            strided = f", stride {stride}" if module is block and stride > 1 else ""
            texts.append(f"{kernel}×{kernel}, {module.out_channels}{strided}{gated}")
        elif isinstance(module, nn.Linear):
            texts.append(f"{module.out_features}-d fc")
        elif isinstance(module, nn.MaxPool2d):
            side = module.kernel_size
            texts.append(f"{side}×{side} max pool, stride {module.stride}")
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            texts.append("average pool")
    return "; ".join(texts)
