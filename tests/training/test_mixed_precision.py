import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import deepres
from deepres.training.mixed_precision import InBf16
from deepres.training.step import precision


def gradients(network: nn.Module, computing: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    network.zero_grad()
    F.cross_entropy(computing(images).float(), labels).backward()
    parts = [parameter.grad for parameter in network.parameters()]
    assert all(part is not None and part.dtype == torch.float32 for part in parts)
    return torch.cat([part.flatten() for part in parts if part is not None])


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_it_rounds_as_autocast_does() -> None:
    torch.manual_seed(0)
    network = deepres.create_model("resnet8").to(memory_format=torch.channels_last)
    images, labels = torch.randn(32, 3, 32, 32), torch.randint(10, (32,))
    exact = gradients(network, network, images, labels)

    def autocast(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = network(x)
        return logits

    theirs = gradients(network, autocast, images, labels)  # type: ignore[arg-type]
    ours = gradients(network, InBf16(network), images, labels)
    assert 0 < relative(ours, exact) < 1.2 * relative(theirs, exact) < 0.1
    assert relative(ours, theirs) < 0.05


def test_what_is_frozen_is_rounded_alike_and_takes_no_gradient() -> None:
    torch.manual_seed(0)
    network, images = deepres.create_model("resnet8"), torch.randn(8, 3, 32, 32)
    expected = InBf16(network)(images)
    for module in (network.conv1, network.bn1):
        module.requires_grad_(False)
    found = InBf16(network)(images)
    assert torch.equal(found, expected)
    found.float().sum().backward()
    assert network.conv1.weight.grad is None
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_nothing_goes_back_through_what_is_frozen() -> None:
    network = deepres.create_model("resnet8").requires_grad_(False)
    network.fc.requires_grad_(True)
    reached = []
    network.layer3.register_forward_hook(lambda *call: reached.append(call[-1].requires_grad))
    assert InBf16(network)(torch.randn(2, 3, 32, 32)).requires_grad
    assert reached == [False]


def test_all_that_is_kept_stays_float32() -> None:
    network = deepres.create_model("highway19")  # its gates have biases
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    logits = InBf16(network)(torch.randn(2, 3, 32, 32))
    assert logits.dtype == torch.bfloat16
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name]) or "running" in name or "tracked" in name


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp32")]
)
def test_bf16_by_default_where_a_gpu_has_it(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    recipe, device = deepres.get_recipe("resnet20"), torch.device("cuda")
    assert precision(recipe, device) == expected
    forced = dataclasses.replace(recipe, precision="bf16")
    assert precision(forced, device) == "bf16"
