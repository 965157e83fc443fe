"""The fused kernels against PyTorch, in float64.

Without a GPU they run in Triton's interpreter, which must be asked for before Triton is imported:
test_batch_norm.py runs this module in a process of its own.
"""

import os

import pytest
import torch
from fused_batch_norm import gradient, keeps_its_output, outcome, plain
from torch import nn

pytest.importorskip("triton", reason="PyTorch brings Triton on Linux only")
if not os.environ.get("TRITON_INTERPRET"):
    pytest.skip("test_batch_norm.py runs this in Triton's interpreter", allow_module_level=True)

from deepres.models import batch_norm_kernels


@pytest.fixture(autouse=True)
def few_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small tensors, too, have parts and programs with several tiles."""
    monkeypatch.setattr(batch_norm_kernels, "PARTS", 4)
    monkeypatch.setattr(batch_norm_kernels, "PROGRAMS", 3)


@pytest.mark.parametrize("with_shortcut", [False, True])
@pytest.mark.parametrize(
    "shape",
    [
        (2, 16, 16, 16),  # parts of one tile
        (2, 64, 5, 7),  # a last part that is not full
        (3, 20, 3, 3),  # channels that are no power of two
        (2, 80, 4, 4),  # more channels than a program takes
        (20, 64, 6, 6),  # parts of several tiles, the last one short
    ],
)
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
    found = outcome(batch_norm_kernels.batch_norm_relu, batch_norm.float(), x, shortcut, dy)
    for name, tensor in expected.items():
        scale = float(tensor.double().norm()) / tensor.numel() ** 0.5
        torch.testing.assert_close(
            found[name].double(), tensor.double(), rtol=1e-4, atol=1e-4 * scale, msg=name
        )


def test_bf16_is_rounded_once() -> None:
    torch.manual_seed(0)
    batch_norm = nn.BatchNorm2d(32)
    x, shortcut = torch.randn(2, 4, 32, 8, 8).bfloat16().unbind()
    dy = gradient(batch_norm, x.float(), shortcut.float()).bfloat16()
    expected = outcome(plain, batch_norm, x.float(), shortcut.float(), dy)
    found = outcome(batch_norm_kernels.batch_norm_relu, batch_norm, x, shortcut, dy)
    for name, tensor in expected.items():
        assert found[name].dtype == (torch.bfloat16 if tensor.ndim == 4 else tensor.dtype)
        # 8 bits, and the interpreter cuts where GPUs round
        torch.testing.assert_close(found[name].to(tensor.dtype), tensor, rtol=2**-7, atol=1e-4)


def test_only_a_shortcut_keeps_the_output_for_the_backward_pass() -> None:
    """Without one ReLU's side is computed again, and memory is free for the next layer."""
    assert keeps_its_output(batch_norm_kernels.batch_norm_relu, with_shortcut=True)
    assert not keeps_its_output(batch_norm_kernels.batch_norm_relu, with_shortcut=False)


def test_averages_stay_where_momentum_is_nothing() -> None:
    batch_norm = nn.BatchNorm2d(16, momentum=0.0)
    batch_norm.running_mean.normal_()
    before = batch_norm.running_mean.clone()
    batch_norm_kernels.batch_norm_relu(batch_norm, torch.randn(2, 16, 4, 4), None)
    assert torch.equal(batch_norm.running_mean, before)
    assert torch.equal(batch_norm.running_var, torch.ones(16))


@pytest.mark.parametrize("with_shortcut", [False, True])
def test_nan_passes_as_in_pytorch(with_shortcut: bool) -> None:
    """A NaN of the input makes its whole channel NaN, one of the shortcut its own element."""
    batch_norm = nn.BatchNorm2d(16)
    x, shortcut = torch.randn(2, 2, 16, 4, 4).unbind()
    x[0, 3, 1, 2] = shortcut[1, 5, 0, 0] = torch.nan
    inputs = (batch_norm, x, shortcut if with_shortcut else None, torch.randn(x.shape))
    expected = outcome(plain, *inputs)
    found = outcome(batch_norm_kernels.batch_norm_relu, *inputs)
    assert expected["y"].isnan().sum() == 32 + with_shortcut
    for name, tensor in expected.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=1e-4, atol=1e-4, equal_nan=True, msg=name
        )
