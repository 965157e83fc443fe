"""One step of SGD: forward, backward, update. All of it happens on the device."""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def training_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    accumulate: int = 1,
) -> Tensor:
    """Take one step of SGD; return the batch's mean loss and its share of errors, (2,).

    Nothing in it waits for the host, so that a CUDA graph can record it. ``images`` are prepared,
    (B, C, H, W) float32; ``labels`` (B,) int64. The gradient is the mean over the batch, of all
    processes together, however many parts, ``accumulate``, it is computed in.
    """
    optimizer.zero_grad()
    parts = list(zip(images.chunk(accumulate), labels.chunk(accumulate), strict=True))
    outcomes = []
    for i, (part, part_labels) in enumerate(parts, start=1):
        with gradients_stay_here(network, i < len(parts)):
            logits = network(part).float()  # (B / parts, classes)
            loss = F.cross_entropy(logits, part_labels, reduction="sum")
            (loss / len(labels)).backward()
        errors = (logits.argmax(1) != part_labels).sum()
        outcomes.append(torch.stack([loss.detach(), errors]))
    optimizer.step()
    return torch.stack(outcomes).sum(0) / len(labels)


def gradients_stay_here(network: nn.Module, more_to_come: bool) -> AbstractContextManager[None]:
    """Keep the processes from sharing gradients before the last part of a batch."""
    if more_to_come and isinstance(network, DistributedDataParallel):
        keeping: AbstractContextManager[None] = network.no_sync()
        return keeping
    return nullcontext()
