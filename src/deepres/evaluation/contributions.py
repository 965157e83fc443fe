"""What each residual block adds to what passes it by the shortcut: ‖F(x)‖ / ‖x‖."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepres.models.blocks import BasicBlock, Bottleneck, OneLayerBlock
from deepres.models.stages import StagedNetwork, record_outputs


@dataclass(frozen=True)
class Contribution:
    """The two terms of a block's sum, F(x) + x (Eq. 1 and 2)."""

    block: str
    """Its name in the state dict, e.g. layer1.0."""
    stage: str
    """The paper's name of its stage, e.g. conv2_x."""
    added: float
    """‖F(x)‖: of what the block's layers add, after their last BN."""
    passed: float
    """‖x‖: of what the shortcut brings to the sum, projected or padded where it does that."""

    @property
    def ratio(self) -> float | None:
        """‖F(x)‖ / ‖x‖; None where the shortcut brings nothing but zeros."""
        return self.added / self.passed if self.passed else None


@torch.inference_mode()
def block_contributions(network: StagedNetwork, x: Tensor) -> list[Contribution]:
    """Return what each block with a shortcut adds, in order; a plain network has none.

    Args:
        network: in evaluation mode, with its BN and blocks as they were trained.
        x: prepared images (N, 3, H, W). The norms are over all of them.
    """
    blocks = [
        (stage, f"{layer}.{number}", block)
        for stage, layers in network.stages.items()
        for layer in layers
        for number, block in network.get_submodule(layer).named_children()
        if isinstance(block, OneLayerBlock | BasicBlock | Bottleneck)
        and block.downsample is not None
    ]
    terms = [
        (f"{name}.{_last_batch_norm(block)}", f"{name}.downsample") for _, name, block in blocks
    ]
    outputs = record_outputs(network, x, [module for pair in terms for module in pair])
    norms = {module: float(output.cpu().double().norm()) for module, output in outputs.items()}
    return [
        Contribution(name, stage, norms[added], norms[passed])
        for (stage, name, _), (added, passed) in zip(blocks, terms, strict=True)
    ]


def _last_batch_norm(block: nn.Module) -> str:
    """Return the name in ``block`` of the BN whose output is F(x)."""
    return [name for name, m in block.named_children() if isinstance(m, nn.BatchNorm2d)][-1]
