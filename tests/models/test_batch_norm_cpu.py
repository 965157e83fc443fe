"""The C kernels against PyTorch, in float64."""

import pytest
import torch
from fused_batch_norm import gradient, keeps_its_output, outcome, plain
from torch import Tensor, nn

from deepres.models import batch_norm_cpu
from deepres.models.batch_norm import FusedBatchNorm, batch_norm_relu, fuse_batch_norm, fused_by
from deepres.models.create import build_network

LIBRARY = batch_norm_cpu.library()
if isinstance(LIBRARY, str):
    pytest.skip(LIBRARY, allow_module_level=True)

SHAPES = [
    (2, 16, 16, 16),
    (3, 64, 33, 31),  # several parts, the last one short
    (7, 10, 9, 5),  # rows of 25 pixels at a time, the last one short
    (2, 1, 3, 3),
    (9, 37, 1, 1),  # one pixel each
    (5, 257, 13, 3),  # more channels than a loop is long
]


@pytest.mark.parametrize("with_shortcut", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernels_are_pytorchs_batch_norm(shape: tuple[int, ...], with_shortcut: bool) -> None:
    torch.manual_seed(0)
    batch_norm = nn.BatchNorm2d(shape[1])
    nn.init.normal_(batch_norm.weight)
    nn.init.normal_(batch_norm.bias)
    # a mean far from 0: a sum of squares without more care would lose digits
    x = torch.randn(shape).add(30).contiguous(memory_format=torch.channels_last)
    shortcut = torch.randn(shape) if with_shortcut else None  # of another memory format
    exact = (batch_norm.double(), x.double(), None if shortcut is None else shortcut.double())
    dy = gradient(*exact)
    expected = outcome(plain, *exact, dy)
    found = outcome(batch_norm_cpu.batch_norm_relu, batch_norm.float(), x, shortcut, dy)
    for name, tensor in expected.items():
        scale = float(tensor.double().norm()) / tensor.numel() ** 0.5
        torch.testing.assert_close(
            found[name].double(), tensor.double(), rtol=1e-4, atol=1e-4 * scale, msg=name
        )


@pytest.mark.parametrize("with_shortcut", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_bf16_is_rounded_once(shape: tuple[int, ...], with_shortcut: bool) -> None:
    torch.manual_seed(0)
    batch_norm = nn.BatchNorm2d(shape[1])
    x, shortcut = torch.randn(2, *shape).bfloat16().unbind()
    wide = (batch_norm, x.float(), shortcut.float() if with_shortcut else None)
    dy = gradient(*wide).bfloat16()
    expected = outcome(plain, *wide, dy)
    inputs = (batch_norm, x, shortcut if with_shortcut else None, dy)
    found = outcome(batch_norm_cpu.batch_norm_relu, *inputs)
    for name, tensor in expected.items():
        assert found[name].dtype == (torch.bfloat16 if tensor.ndim == 4 else tensor.dtype)
        # half of the last of 8 bits
        rtol = 2**-8 if tensor.ndim == 4 else 1e-4
        torch.testing.assert_close(found[name].to(tensor.dtype), tensor, rtol=rtol, atol=1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("with_shortcut", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_and_infinity_pass_as_in_pytorch(
    value: float, with_shortcut: bool, dtype: torch.dtype
) -> None:
    """In the input they reach their whole channel, in the shortcut their own element."""
    batch_norm = nn.BatchNorm2d(16)
    x, shortcut, dy = torch.randn(3, 2, 16, 4, 4).to(dtype).unbind()
    x[0, 3, 1, 2] = shortcut[1, 5, 0, 0] = dy[1, 7, 3, 3] = value
    expected = outcome(
        plain, batch_norm, x.float(), shortcut.float() if with_shortcut else None, dy.float()
    )
    inputs = (batch_norm, x, shortcut if with_shortcut else None, dy)
    found = outcome(batch_norm_cpu.batch_norm_relu, *inputs)
    assert expected["y"].isnan().sum() >= 32
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name].to(tensor.dtype), tensor, rtol=2**-7, atol=1e-4, equal_nan=True, msg=name
        )


def test_the_bits_are_the_same_each_time_and_for_any_number_of_threads() -> None:
    batch_norm = nn.BatchNorm2d(24)
    x, shortcut, dy = torch.randn(3, 5, 24, 31, 29).unbind()
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 1, 2, 5):
            torch.set_num_threads(number)
            inputs = (batch_norm, x, shortcut, dy)
            found.append(outcome(batch_norm_cpu.batch_norm_relu, *inputs))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(other[name], tensor) for name, tensor in found[0].items())


def test_only_a_shortcut_keeps_the_output_for_the_backward_pass() -> None:
    """Without one ReLU's side is computed again, and memory is free for the next layer."""
    assert keeps_its_output(batch_norm_cpu.batch_norm_relu, with_shortcut=True)
    assert not keeps_its_output(batch_norm_cpu.batch_norm_relu, with_shortcut=False)


def test_averages_stay_where_momentum_is_nothing() -> None:
    batch_norm = nn.BatchNorm2d(16, momentum=0.0)
    batch_norm.running_mean.normal_()
    before = batch_norm.running_mean.clone()
    batch_norm_cpu.batch_norm_relu(batch_norm, torch.randn(2, 16, 4, 4), None)
    assert torch.equal(batch_norm.running_mean, before)
    assert torch.equal(batch_norm.running_var, torch.ones(16))


def test_a_single_pixel_is_refused_as_in_pytorch() -> None:
    """It has no variance."""
    assert fused_by(torch.device("cpu")) == "C"
    x = torch.randn(1, 4, 1, 1)
    batch_norm = nn.BatchNorm2d(4)
    for kind in (nn.BatchNorm2d, FusedBatchNorm):
        batch_norm.__class__ = kind
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            batch_norm_relu(batch_norm, x)


@pytest.mark.parametrize("name", ["resnet8", "plain8"])
def test_a_fused_network_hands_out_what_pytorchs_does(name: str) -> None:
    """Responses are taken between BN and ReLU, which the kernels compute as one."""
    torch.manual_seed(0)
    network, images = build_network(name), torch.randn(4, 3, 32, 32)
    expected = network.intermediates(images)
    fuse_batch_norm(network)
    found = network.intermediates(images)
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.responses, expected.responses)
    torch.testing.assert_close(found.stages, expected.stages)


def test_a_fused_network_learns_as_pytorchs_does() -> None:
    def gradients(fused: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        network = build_network("resnet8").double().float().to(memory_format=torch.channels_last)
        if fused:
            fuse_batch_norm(network)
            assert any(isinstance(module, FusedBatchNorm) for module in network.modules())
        network(torch.randn(4, 3, 32, 32)).square().mean().backward()
        return {name: p.grad for name, p in network.named_parameters()} | dict(
            network.named_buffers()
        )

    found, expected = gradients(True), gradients(False)
    for name, tensor in expected.items():
        scale = float(tensor.double().norm()) / tensor.numel() ** 0.5
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-3 * scale, msg=name)
