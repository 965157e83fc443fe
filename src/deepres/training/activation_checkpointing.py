"""Blocks that keep their input alone, and are computed again in the backward pass."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # of which SyncBatchNorm is one, too
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils.checkpoint import checkpoint

from deepres.models.blocks import BasicBlock, Bottleneck, OneLayerBlock
from deepres.models.highway import HighwayLayer

BLOCKS = (OneLayerBlock, BasicBlock, Bottleneck, HighwayLayer)


def checkpoint_blocks(network: nn.Module) -> None:
    """Have each block of ``network`` computed twice, for the memory of what it holds inside."""
    for block in network.modules():
        if isinstance(block, BLOCKS):
            setattr(block, "forward", partial(_checkpointed, block, block.forward))  # noqa: B010


def _checkpointed(block: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if not block.training:
        return forward(x)
    out: Tensor = checkpoint(
        forward,
        x,
        use_reentrant=False,
        preserve_rng_state=False,  # nothing in a block is random
        context_fn=partial(_contexts, block, dict(block.named_parameters())),
    )
    return out


def _contexts(
    block: nn.Module, weights: dict[str, Tensor]
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _as_before(block, weights)


@contextmanager
def _as_before(block: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    """Compute with the weights of the first time, and keep BN's averages from moving again.

    In bfloat16 those are rounded copies that the block holds in the forward pass alone.
    """
    batch_norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    momenta = [batch_norm.momentum for batch_norm in batch_norms]
    counts = [b.num_batches_tracked for b in batch_norms if b.num_batches_tracked is not None]
    before = [count.clone() for count in counts]
    for batch_norm in batch_norms:
        batch_norm.momentum = 0.0
    try:
        with _reparametrize_module(block, weights):
            yield
    finally:
        for batch_norm, momentum in zip(batch_norms, momenta, strict=True):
            batch_norm.momentum = momentum
        for count, number in zip(counts, before, strict=True):
            count.copy_(number)
