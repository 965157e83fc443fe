"""BN statistics as the released models have them: averages over a large training sample.

Appendix A fixes BN with such statistics before detectors are trained.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn


def learning_batch_norm(network: nn.Module, frozen: Iterable[nn.Module]) -> list[nn.BatchNorm2d]:
    """Return the BN layers of a network that are in none of its ``frozen`` modules."""
    fixed = {module for each in frozen for module in each.modules()}
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m not in fixed]


@torch.no_grad()
def set_exact_statistics(
    network: nn.Module,
    batches: Iterable[Tensor],
    on_batch: Callable[[int], None] = lambda done: None,
    frozen: Sequence[nn.Module] = (),
) -> None:
    """Replace each BN layer's moving averages by the mean and variance of all that it sees.

    The network runs in training mode. The layers before each layer normalise by the statistics of
    their batch, as in training, so that it sees what it saw then; frozen ones use their averages.

    Sums are in float64. The variance is that of the whole sample, not the mean of the batches'
    variances, and unbiased as in PyTorch.

    Args:
        network: it and its modules are left in the modes that they were in.
        batches: prepared images (B, C, H, W), as many at once as BN saw in training.
        on_batch: is told how many batches are done.
        frozen: modules of it that stay as they are.
    """
    layers = learning_batch_norm(network, frozen)
    sums = {layer: torch.zeros(3, layer.num_features, dtype=torch.float64) for layer in layers}

    def add(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        x = inputs[0]
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), unbiased=False)
        count = torch.full_like(mean, x.numel() / x.shape[1])
        count, mean, variance = torch.stack([count, mean, variance]).cpu().double()
        batch = torch.stack([count, count * mean, count * (variance + mean.square())])
        sums[layer] += batch  # type: ignore[index]

    modes = {module: module.training for module in network.modules()}
    handles = [layer.register_forward_pre_hook(add) for layer in layers]
    network.train()
    for module in frozen:
        module.eval()
    try:
        for done, images in enumerate(batches, start=1):
            network(images)
            on_batch(done)
    finally:
        for module, training in modes.items():
            module.training = training
        for handle in handles:
            handle.remove()
    for layer, (count, total, squares) in sums.items():
        mean = total / count
        variance = (squares - count * mean.square()) / (count - 1)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
