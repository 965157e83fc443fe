"""SGD as the paper's, and its learning rate as a function of the step."""

import torch
from torch import nn

from deepres.recipes import ClassificationRecipe, DetectionRecipe


def learning_rate(
    recipe: ClassificationRecipe, step: int, warming_up: bool, plateaus: int = 0
) -> float:
    """Return the learning rate of step ``step``, the first being 0, after so many plateaus.

    Warm-up takes the place of the initial rate only; the drops stand at their steps (§4.2).
    """
    drops = plateaus + sum(step >= drop for drop in recipe.lr_drops)
    if warming_up and drops == 0 and recipe.warm_up_lr is not None:
        return recipe.warm_up_lr
    return recipe.lr / recipe.lr_divisor**drops


def make_optimizer(model: nn.Module, recipe: ClassificationRecipe) -> torch.optim.SGD:
    """SGD with momentum; every parameter decays, BN's and biases too, as in Caffe by default."""
    return torch.optim.SGD(
        model.parameters(),
        lr=learning_rate(recipe, 0, warming_up=True),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )


def detector_optimizer(model: nn.Module, recipe: DetectionRecipe, step: int) -> torch.optim.SGD:
    """SGD from ``step`` on for what of ``model`` is trained; biases learn at a rate of their own.

    Weights and biases decay alike (Fast R-CNN §2.3).
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    biases = [p for name, p in trained if name.endswith("bias")]
    weights = [p for name, p in trained if not name.endswith("bias")]
    groups = [(weights, 1.0), (biases, recipe.bias_lr_factor)]
    lr = recipe.learning_rate(step)
    return torch.optim.SGD(
        [{"params": ps, "lr": factor * lr, "lr_factor": factor} for ps, factor in groups if ps],
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )


@torch.no_grad()
def set_learning_rate(optimizer: torch.optim.SGD, lr: float) -> None:
    """Change the learning rate with Caffe's momentum: v ← m·v + lr·g, w ← w − v.

    PyTorch keeps v/lr instead of v, so that a change of lr would rescale past gradients at once.
    Dividing what it keeps by the change restores Caffe's rule exactly. A group of parameters with
    an ``lr_factor`` gets that many times the rate.
    """
    for group in optimizer.param_groups:
        new = lr * group.get("lr_factor", 1.0)
        if group["lr"] != new:
            for parameter in group["params"]:
                momentum = optimizer.state[parameter].get("momentum_buffer")
                if momentum is not None:
                    momentum.mul_(group["lr"] / new)
            group["lr"] = new
