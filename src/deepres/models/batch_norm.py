"""BN, the shortcut's addition and ReLU as one function, which fused kernels can take over."""

from functools import cache
from importlib.util import find_spec
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepres.models.stages import StagedNetwork


class FusedBatchNorm(nn.BatchNorm2d):
    """BN that ``batch_norm_relu`` computes by fused kernels while it is trained on CUDA."""


class FusedBatchNormRelu(FusedBatchNorm):
    """BN as a layer of its own, with the ReLU that follows while it is trained."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        return batch_norm_relu(self, x) if self.training else super().forward(x)


class DoneRelu(nn.ReLU):
    """ReLU that the BN before it has done while it is trained."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        return x if self.training else super().forward(x)


def batch_norm_relu(batch_norm: nn.Module, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
    """Return relu(batch_norm(x) + shortcut), each of them (N, C, H, W)."""
    if isinstance(batch_norm, FusedBatchNorm) and batch_norm.training:
        from deepres.models import batch_norm_kernels  # Triton is not everywhere

        return batch_norm_kernels.batch_norm_relu(batch_norm, x, shortcut)
    out: Tensor = batch_norm(x)
    if shortcut is not None:
        out = out + shortcut
    return F.relu(out)


@cache
def why_no_kernels(device: torch.device) -> str | None:
    """Return why fused kernels cannot be had on ``device``, a GPU; None: they can.

    Triton builds them at first use, for which it needs a C compiler and Python's headers.
    """
    if find_spec("triton") is None:  # PyTorch brings it on Linux
        return "Triton is not installed"
    tried = nn.BatchNorm2d(16).to(device)
    fuse_batch_norm(tried)
    try:
        batch_norm_relu(tried, torch.zeros(2, 16, 1, 1, device=device))
    except Exception as error:  # of Triton, of the compiler, of the system: there are many
        return f"Triton cannot build them: {str(error).strip().splitlines()[0]}"
    return None


def fuse_batch_norm(network: nn.Module) -> None:
    """Have BN in ``network`` computed by fused kernels where ReLU follows.

    Parameters, buffers and their names stay; so does evaluation.
    """
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = FusedBatchNorm
    for stage in network.stages.values() if isinstance(network, StagedNetwork) else ():
        for first, second in pairwise(network.get_submodule(name) for name in stage):
            if type(first) is FusedBatchNorm and type(second) is nn.ReLU:
                first.__class__, second.__class__ = FusedBatchNormRelu, DoneRelu
