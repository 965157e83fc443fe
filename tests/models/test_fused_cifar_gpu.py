"""Fused training of §4.2's networks on CUDA, against plain PyTorch there."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepres.models import build_network
from deepres.models.batch_norm import fuse_batch_norm
from deepres.models.fused_cifar import FusedCifarNet, supports
from deepres.recipes.cifar10 import section_4_2
from deepres.runtime import make_repeatable
from deepres.training.cuda_graph import GraphedStep
from deepres.training.mixed_precision import InBf16
from deepres.training.optim import make_optimizer
from deepres.training.step import classifier_step

pytestmark = pytest.mark.gpu

BATCH = 128


@pytest.fixture(autouse=True)
def repeatable() -> None:
    make_repeatable(torch.device("cuda"))


def make_network(name: str) -> nn.Module:
    """A network whose BN is not the identity."""
    torch.manual_seed(0)
    network = build_network(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return network.cuda().to(memory_format=torch.channels_last)


def make_batch(images: int = BATCH) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(images, 3, 32, 32).cuda(), torch.randint(10, (images,)).cuda()


def outcome(
    network: nn.Module, how: Callable[[nn.Module], nn.Module], x: Tensor, y: Tensor
) -> dict[str, Tensor]:
    """Logits, gradients and buffers of a step."""
    network = copy.deepcopy(network)
    logits = how(network)(x)
    F.cross_entropy(logits.double(), y).backward()
    gradients = {name: p.grad.double() for name, p in network.named_parameters()}
    return {"logits": logits.detach().double(), **gradients, **dict(network.named_buffers())}


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def all_gradients(network: nn.Module, outcome: dict[str, Tensor]) -> Tensor:
    return torch.cat([outcome[name].flatten() for name, _ in network.named_parameters()])


@pytest.mark.parametrize("images", [BATCH, 5])
@pytest.mark.parametrize("name", ["resnet20", "plain20"])
def test_they_are_as_exact_as_pytorch(name: str, images: int) -> None:
    network = make_network(name)
    assert supports(network)
    x, y = make_batch(images)
    exact = outcome(copy.deepcopy(network).double(), lambda n: n, x.double(), y)
    theirs, found = outcome(network, InBf16, x, y), outcome(network, FusedCifarNet, x, y)
    margin = 1.2 if images == BATCH else 1.5  # noise has more luck with few images
    for pick in (lambda o: o["logits"], lambda o: all_gradients(network, o)):
        expected = pick(exact)
        assert error(pick(found), expected) < margin * error(pick(theirs), expected)
    for key, tensor in network.named_buffers():
        assert found[key].dtype == tensor.dtype
        assert error(found[key], exact[key].double()) < 0.05


def test_nan_is_not_hidden_by_relu() -> None:
    network = make_network("plain20")
    with torch.no_grad():
        network.get_parameter("layer2.0.conv1.weight")[3, 2, 1, 1] = torch.nan
    found = outcome(network, FusedCifarNet, *make_batch())
    assert found["logits"].isnan().all()
    assert found["conv1.weight"].isnan().all()


def steps(name: str, how: Callable[[nn.Module], nn.Module], graph: bool) -> list[Tensor]:
    """Losses of a few steps on one batch, and what they made of the network."""
    network = make_network(name)
    optimizer = make_optimizer(network, section_4_2("resnet20"))
    computing = how(network)

    def step(x: Tensor, y: Tensor) -> Tensor:
        return classifier_step(computing, optimizer, x, y)

    momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
    changing = [*network.state_dict().values(), *momenta]
    take = GraphedStep(step, changing) if graph else step
    batch = make_batch()
    losses = [take(*batch).clone() for _ in range(8)]
    return [torch.stack(losses), *network.state_dict().values()]


@pytest.mark.parametrize("name", ["resnet20", "plain20"])
def test_steps_have_the_same_bits_each_time_graphed_or_not(name: str) -> None:
    first, again, graphed = (steps(name, FusedCifarNet, graph) for graph in (False, False, True))
    for a, b, c in zip(first, again, graphed, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_they_learn_as_pytorch_does() -> None:
    def plain(network: nn.Module) -> nn.Module:
        fuse_batch_norm(network)
        return InBf16(network)

    ours, theirs = (steps("resnet20", how, True)[0][:3, 0] for how in (FusedCifarNet, plain))
    torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05)
