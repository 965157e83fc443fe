"""SGD as the paper's, and its learning rate as a function of the step."""

from typing import Any

import torch
from torch import nn

from deepres.recipes.schema import Recipe

RATE = "rate"
"""Where a group of parameters keeps its learning rate as a number of the host's."""


def learning_rate(recipe: Recipe, step: int, warming_up: bool, plateaus: int = 0) -> float:
    """Return the learning rate of step ``step``, the first being 0, after so many plateaus.

    Warm-up takes the place of the initial rate only; the drops stand at their steps (§4.2).
    """
    drops = plateaus + sum(step >= drop for drop in recipe.lr_drops)
    if warming_up and drops == 0 and recipe.warm_up_lr is not None:
        return recipe.warm_up_lr
    return recipe.lr / recipe.lr_divisor**drops


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with momentum; every parameter decays, BN's and biases too, as in Caffe by default.

    The learning rate lies on the device and momentum begins as zeros, so that a captured step
    reads and writes what it did when it was captured.
    """
    device = next(model.parameters()).device
    lr = learning_rate(recipe, 0, warming_up=True)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=torch.tensor(lr, device=device),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    for group in optimizer.param_groups:
        group[RATE] = lr
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


@torch.no_grad()
def set_learning_rate(optimizer: torch.optim.SGD, lr: float) -> None:
    """Change the learning rate with Caffe's momentum: v ← m·v + lr·g, w ← w − v.

    PyTorch keeps v/lr instead of v, so that a change of lr would rescale past gradients at once.
    Dividing what it keeps by the change restores Caffe's rule exactly.
    """
    for group in optimizer.param_groups:
        if group[RATE] != lr:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"].mul_(group[RATE] / lr)
            group["lr"].fill_(lr)
            group[RATE] = lr


@torch.no_grad()
def load_optimizer(optimizer: torch.optim.SGD, saved: dict[str, Any]) -> None:
    """Take up the ``saved`` state, in the tensors that there are."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, lr in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = lr.fill_(group[RATE])
