"""BN, the shortcut's addition and ReLU as one function, which fused kernels can take over."""

from functools import cache
from importlib.util import find_spec
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepres.errors import first_line
from deepres.models import batch_norm_cpu
from deepres.models.stages import StagedNetwork
from deepres.torch_errors import is_of_memory


class FusedBatchNorm(nn.BatchNorm2d):
    """BN that ``batch_norm_relu`` computes by fused kernels while it is trained."""

    @property
    def is_fused(self) -> bool:
        """Whether it is now: a hook wants BN's own output, which the kernels do not give."""
        return self.training and not self._forward_hooks


class FusedBatchNormRelu(FusedBatchNorm):
    """BN as a layer of its own, with the ReLU that follows while it is trained."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        return batch_norm_relu(self, x) if self.is_fused else super().forward(x)


class DoneRelu(nn.ReLU):
    """ReLU that the BN before it has done while that is trained."""

    before: tuple[FusedBatchNormRelu]  # in a tuple it is no submodule

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        return x if self.before[0].is_fused else super().forward(x)


def batch_norm_relu(batch_norm: nn.Module, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
    """Return relu(batch_norm(x) + shortcut), each of them (N, C, H, W)."""
    if isinstance(batch_norm, FusedBatchNorm) and batch_norm.is_fused:
        if x.numel() == x.shape[1]:
            raise ValueError(f"training takes more than 1 value per channel, got {tuple(x.shape)}")
        if x.device.type == "cpu":
            return batch_norm_cpu.batch_norm_relu(batch_norm, x, shortcut)
        from deepres.models import batch_norm_kernels  # Triton is not everywhere

        return batch_norm_kernels.batch_norm_relu(batch_norm, x, shortcut)
    out: Tensor = batch_norm(x)
    if shortcut is not None:
        out = out + shortcut
    return F.relu(out)


def fused_by(device: torch.device) -> str:
    """Return what the fused kernels for ``device`` are written in; ``PyTorch: <why>``: none."""
    if device.type == "cuda":
        trouble = _try_triton(device)
    elif device.type == "cpu":
        library = batch_norm_cpu.library()
        return f"PyTorch: {library}" if isinstance(library, str) else "C"
    else:
        trouble = f"no kernels for {device.type}"
    return f"PyTorch: {trouble}" if trouble else "Triton"


@cache
def _try_triton(device: torch.device) -> str | None:
    """Return why Triton's kernels do not run here: it needs a C compiler and Python's headers."""
    if find_spec("triton") is None:  # PyTorch brings it on Linux
        return "no Triton"
    tried = nn.BatchNorm2d(16).to(device)
    _mark(tried)
    try:
        with torch.enable_grad():
            x = torch.zeros(2, 16, 1, 1, device=device, requires_grad=True)
            batch_norm_relu(tried, x, x).sum().backward()
    except Exception as error:  # of Triton, of the compiler, of the system: there are many
        if is_of_memory(error):  # it says nothing about Triton
            raise
        return f"Triton cannot build them: {first_line(error)}"
    return None


def fuse_batch_norm(network: nn.Module) -> None:
    """Have BN in ``network`` computed by fused kernels where ReLU follows, if its device has them.

    Parameters, buffers and their names stay; so does evaluation.
    """
    if not fused_by(next(network.parameters()).device).startswith("PyTorch"):
        _mark(network)


def _mark(network: nn.Module) -> None:
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = FusedBatchNorm
    for stage in network.stages.values() if isinstance(network, StagedNetwork) else ():
        for first, second in pairwise(network.get_submodule(name) for name in stage):
            if type(first) is FusedBatchNorm and type(second) is nn.ReLU:
                first.__class__, second.__class__ = FusedBatchNormRelu, DoneRelu
                vars(second)["before"] = (first,)
