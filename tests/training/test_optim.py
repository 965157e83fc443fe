import pytest
import torch
from torch import nn

from deepres.recipes import detection_recipe, get_recipe
from deepres.training.optim import (
    detector_optimizer,
    load_optimizer,
    make_optimizer,
    set_learning_rate,
)


@pytest.mark.parametrize(
    ("name", "step", "warming_up", "expected"),
    [
        ("resnet56", 0, True, 0.1),  # no warm-up in this recipe
        ("resnet56", 31_999, False, 0.1),
        ("resnet56", 32_000, False, 0.01),
        ("resnet56", 47_999, False, 0.01),
        ("resnet56", 48_000, False, 0.001),
        ("resnet56", 63_999, False, 0.001),
        ("resnet110", 0, True, 0.01),
        ("resnet110", 5_000, True, 0.01),  # a condition, not a number of steps
        ("resnet110", 400, False, 0.1),
        ("resnet110", 32_000, False, 0.01),
        ("resnet110", 48_000, False, 0.001),
        ("resnet110", 48_000, True, 0.001),  # drops stand at their steps, whatever warm-up does
    ],
)
def test_the_papers_learning_rate(name, step, warming_up, expected) -> None:
    assert get_recipe(name).learning_rate(step, warming_up) == expected


def test_momentum_is_caffes() -> None:
    """v ← m·v + lr·(g + λ·w); w ← w − v, written out, with a learning rate that changes."""
    recipe = get_recipe("resnet20")
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    weight, bias = layer.weight.detach().double().clone(), layer.bias.detach().double().clone()
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    optimizer = make_optimizer(layer, recipe)
    for lr in (0.1, 0.1, 0.01, 0.01, 0.001, 0.1):
        gradients = [torch.randn_like(weight), torch.randn_like(bias)]
        layer.weight.grad, layer.bias.grad = (g.float() for g in gradients)
        set_learning_rate(optimizer, lr)
        optimizer.step()
        for w, v, g in zip((weight, bias), velocity, gradients, strict=True):
            v.mul_(0.9).add_(lr * (g + 1e-4 * w))
            w.sub_(v)
    torch.testing.assert_close(layer.weight.detach().double(), weight, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer.bias.detach().double(), bias, rtol=1e-5, atol=1e-6)


def test_a_detectors_biases_learn_at_twice_the_rate_and_decay_alike() -> None:
    recipe = detection_recipe("voc07+12", "resnet18").changed(["weight_decay=0.5"])
    learning, frozen = nn.Linear(5, 3), nn.Linear(3, 2).requires_grad_(False)
    network = nn.Sequential(learning, frozen)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    detector_optimizer(network, recipe, 0).step()
    for factor, was, now in zip((1, 2, 0, 0), before, network.parameters(), strict=True):
        torch.testing.assert_close(now.detach(), was - factor * recipe.lr * (1 + 0.5 * was))


def test_each_plateau_divides_the_learning_rate() -> None:
    recipe = get_recipe("resnet18").changed(["lr_drops=", "lr_plateau=3"])
    rates = [recipe.learning_rate(500_000, False, plateaus) for plateaus in range(3)]
    assert rates == pytest.approx([0.1, 0.01, 0.001])


def test_a_saved_state_is_taken_up_in_the_same_tensors() -> None:
    """A captured step reads and writes those that it was captured with."""
    recipe = get_recipe("resnet20")
    torch.manual_seed(0)
    layer = nn.Linear(5, 3)
    trained, fresh = make_optimizer(layer, recipe), make_optimizer(layer, recipe)
    for parameter in layer.parameters():
        parameter.grad = torch.randn_like(parameter)
    set_learning_rate(trained, 0.01)
    trained.step()
    tensors = [fresh.param_groups[0]["lr"], *(s["momentum_buffer"] for s in fresh.state.values())]
    load_optimizer(fresh, trained.state_dict())
    assert fresh.param_groups[0]["lr"] is tensors[0]
    assert float(tensors[0]) == pytest.approx(0.01)
    for parameter, tensor in zip(layer.parameters(), tensors[1:], strict=True):
        assert fresh.state[parameter]["momentum_buffer"] is tensor
        assert torch.equal(tensor, trained.state[parameter]["momentum_buffer"])
    with pytest.raises(ValueError, match="longer"):
        load_optimizer(make_optimizer(nn.Linear(5, 3, bias=False), recipe), trained.state_dict())
