"""SGD as the paper's, and its learning rate as a function of the step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from deepres.recipes import ClassificationRecipe, DetectionRecipe, Recipe

RATE, FACTOR = "rate", "factor"
"""Where a group of parameters keeps its learning rate, as a number of the host's, and how many
times the recipe's that is."""


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with momentum; every parameter decays, BN's and biases too, as in Caffe by default."""
    return _sgd([(list(model.parameters()), 1.0)], recipe.lr, recipe)


def classifier_optimizer(
    network: nn.Module, recipe: ClassificationRecipe, new: Sequence[str] = ()
) -> torch.optim.SGD:
    """SGD for what of ``network`` learns; ``new`` layers at a rate of their own."""
    prefixes = tuple(f"{layer}." for layer in new)
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    given = [p for name, p in trained if not name.startswith(prefixes)]
    made_anew = [p for name, p in trained if name.startswith(prefixes)]
    groups = [(given, 1.0), (made_anew, recipe.new_layer_lr_factor)]
    return _sgd(groups, recipe.lr, recipe)


def detector_optimizer(model: nn.Module, recipe: DetectionRecipe, step: int) -> torch.optim.SGD:
    """SGD from ``step`` on for what of ``model`` is trained; biases learn at a rate of their own.

    Weights and biases decay alike (Fast R-CNN §2.3).
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    biases = [p for name, p in trained if name.endswith("bias")]
    weights = [p for name, p in trained if not name.endswith("bias")]
    groups = [(weights, 1.0), (biases, recipe.bias_lr_factor)]
    return _sgd(groups, recipe.learning_rate(step), recipe)


def _sgd(
    groups: list[tuple[list[nn.Parameter], float]], lr: float, recipe: Recipe
) -> torch.optim.SGD:
    """Return the optimizer of parameters, each group at ``lr`` times its factor.

    The learning rate lies on the device and momentum begins as zeros, so that a captured step
    reads and writes what it did when it was captured.
    """
    optimizer = torch.optim.SGD(
        [
            {
                "params": parameters,
                "lr": torch.tensor(factor * lr, device=parameters[0].device),
                RATE: factor * lr,
                FACTOR: factor,
            }
            for parameters, factor in groups
            if parameters
        ],
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    for group in optimizer.param_groups:
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
        rate = group[FACTOR] * lr
        if group[RATE] != rate:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"].mul_(group[RATE] / rate)
            group["lr"].fill_(rate)
            group[RATE] = rate


@torch.no_grad()
def load_optimizer(optimizer: torch.optim.SGD, saved: dict[str, Any]) -> None:
    """Take up the ``saved`` state, in the very tensors that a captured step works with.

    Raises:
        ValueError: it is of other parameters.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter, state in zip(parameters, saved["state"].values(), strict=True):
        optimizer.state[parameter]["momentum_buffer"].copy_(state["momentum_buffer"])
    for group, before in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        group[RATE] = before[RATE]
        group["lr"].fill_(before[RATE])
