"""The fused kernels of §4.2's networks against PyTorch, in float64.

They run in Triton's interpreter, which must be asked for before Triton is imported:
test_fused_cifar.py runs this module in a process of its own.
"""

import copy
import os
import statistics
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

pytest.importorskip("triton", reason="PyTorch brings Triton on Linux only")
if not os.environ.get("TRITON_INTERPRET"):
    pytest.skip("test_fused_cifar.py runs this in Triton's interpreter", allow_module_level=True)

from deepres.models import build_network, fused_cifar
from deepres.models.fused_cifar import FusedCifarNet
from deepres.training.mixed_precision import InBf16

Outcome = dict[str, Tensor]


@pytest.fixture(autouse=True)
def few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter takes its time for each; and a part may have several tiles."""
    monkeypatch.setattr(fused_cifar, "PARTS", 3)
    monkeypatch.setattr(fused_cifar, "WEIGHT_TILES", {16: 512, 32: 128, 64: 64})
    monkeypatch.setattr(fused_cifar, "WEIGHT_PARTS", 2)


@pytest.fixture(autouse=True)
def bfloat16_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter multiplies bfloat16 numbers' bits as integers, and cuts them from float32."""
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle, tl

    dot, cast = InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl

    def widened(x: Any) -> Any:
        if x.dtype.scalar != tl.bfloat16:
            return x
        bits = torch.from_numpy(x.data.view("int16").copy())
        return TensorHandle(bits.view(torch.bfloat16).float().numpy(), tl.float32)

    def rounding(self: Any, x: Any, to: Any) -> Any:
        if (x.dtype.scalar, to.scalar) == (tl.bfloat16, tl.float32):
            return widened(x)
        if (x.dtype.scalar, to.scalar) != (tl.float32, tl.bfloat16):
            return cast(self, x, to)
        bits = torch.from_numpy(x.data.copy()).bfloat16().view(torch.int16)
        return TensorHandle(bits.numpy().view("uint16"), tl.bfloat16)

    monkeypatch.setattr(InterpreterBuilder, "cast_impl", rounding)
    monkeypatch.setattr(
        InterpreterBuilder,
        "create_dot",
        lambda self, a, b, *rest: dot(self, widened(a), widened(b), *rest),
    )


def make_network(name: str) -> nn.Module:
    """A network whose BN is not the identity, nor at its first step."""
    network = build_network(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean)
    return network.to(memory_format=torch.channels_last)


def outcome(network: nn.Module, computing: nn.Module, x: Tensor, y: Tensor) -> Outcome:
    """Logits, gradients and buffers of a step."""
    logits = computing(x)
    F.cross_entropy(logits.double(), y).backward()
    gradients = {name: p.grad.double() for name, p in network.named_parameters()}
    return {"logits": logits.detach().double(), **gradients, **dict(network.named_buffers())}


def step(
    network: nn.Module, how: Callable[[nn.Module], nn.Module], x: Tensor, y: Tensor
) -> Outcome:
    network = copy.deepcopy(network)
    return outcome(network, how(network), x, y)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def all_gradients(network: nn.Module, outcome: Outcome) -> Tensor:
    return torch.cat([outcome[name].flatten() for name, _ in network.named_parameters()])


@pytest.mark.parametrize(("name", "images"), [("plain8", 1), ("resnet8", 3), ("resnet14", 2)])
def test_in_float32_they_compute_what_the_network_does(name: str, images: int) -> None:
    torch.manual_seed(0)
    network = make_network(name)
    x, y = torch.randn(images, 3, 32, 32), torch.randint(10, (images,))
    exact = step(copy.deepcopy(network).double(), lambda n: n, x.double(), y)
    found = step(network, lambda n: FusedCifarNet(n, torch.float32), x, y)
    errors = {key: error(found[key], tensor.double()) for key, tensor in exact.items()}
    # Rounding may put a unit on the other side of 0, which layers below feel.
    assert statistics.median(errors.values()) < 1e-5, errors
    assert max(errors.values()) < 5e-3, errors
    for key in ("logits", *dict(network.named_buffers())):
        assert errors[key] < 1e-5, key


def test_in_bfloat16_they_are_as_exact_as_pytorch() -> None:
    torch.manual_seed(0)
    network = make_network("resnet8")
    x, y = torch.randn(4, 3, 32, 32), torch.randint(10, (4,))
    exact = step(copy.deepcopy(network).double(), lambda n: n, x.double(), y)
    theirs, found = step(network, InBf16, x, y), step(network, FusedCifarNet, x, y)
    for pick in (lambda o: o["logits"], lambda o: all_gradients(network, o)):
        expected = pick(exact)
        assert error(pick(found), expected) < 1.2 * error(pick(theirs), expected)
    for key, tensor in network.named_buffers():
        assert found[key].dtype == tensor.dtype
        assert error(found[key], exact[key].double()) < 0.02


def test_a_trial_of_kernels_that_run_finds_no_trouble() -> None:
    assert fused_cifar.trouble(make_network("plain8"), images=1) is None


def test_nan_is_not_hidden_by_relu() -> None:
    network = make_network("plain8")
    with torch.no_grad():
        network.get_parameter("layer2.0.conv1.weight")[3, 2, 1, 1] = torch.nan
    x, y = torch.randn(1, 3, 32, 32), torch.tensor([1])
    found = step(network, FusedCifarNet, x, y)
    assert found["logits"].isnan().all()
    assert found["conv1.weight"].isnan().all()


def test_gradients_accumulate_in_parameters_own_layout() -> None:
    torch.manual_seed(0)
    network = make_network("resnet8")
    computing = FusedCifarNet(network, torch.float32)
    x, y = torch.randn(1, 3, 32, 32), torch.tensor([1])
    once = outcome(network, computing, x, y)
    assert all(p.grad.stride() == p.stride() for p in network.parameters())
    twice = outcome(network, computing, x, y)
    for name, _ in network.named_parameters():
        torch.testing.assert_close(twice[name], 2 * once[name])
    assert int(network.get_buffer("bn1.num_batches_tracked")) == 2
