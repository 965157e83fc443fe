import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deepres.models.blocks import BasicBlock, Bottleneck, OneLayerBlock, ZeroPad, make_shortcut

BLOCKS = st.sampled_from([OneLayerBlock, BasicBlock, Bottleneck])


@settings(max_examples=60)
@given(
    block=BLOCKS,
    shortcut=st.sampled_from(["A", "B", "C", "none"]),
    stride=st.sampled_from([1, 2]),
    stride_on=st.sampled_from(["1x1", "3x3"]),
    in_channels=st.integers(1, 8),
    size=st.integers(1, 9),
)
def test_shapes_of_every_block(block, shortcut, stride, stride_on, in_channels, size) -> None:
    width = 8
    options = {"stride_on": stride_on} if block is Bottleneck else {}
    module = block(in_channels, width, stride, shortcut, **options).eval()
    out = module(torch.randn(2, in_channels, size, size))
    half = -(-size // stride)
    assert out.shape == (2, width * block.expansion, half, half)


@given(
    in_channels=st.integers(1, 6),
    extra=st.integers(0, 6),
    stride=st.sampled_from([1, 2, 3]),
    size=st.integers(1, 9),
)
def test_shortcut_a_is_identity_and_zeros(in_channels, extra, stride, size) -> None:
    x = torch.randn(2, in_channels, size, size)
    out = ZeroPad(in_channels, in_channels + extra, stride)(x)
    assert torch.equal(out[:, :in_channels], x[:, :, ::stride, ::stride])
    assert not out[:, in_channels:].any()
    assert out.shape[1] == in_channels + extra


def test_shortcut_as_gradient_stays_channels_last() -> None:
    """Another layout would be copied at each change of stage."""
    x = torch.randn(2, 4, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = ZeroPad(4, 8, 2)(x)
    [gradient] = torch.autograd.grad(y, x, torch.ones_like(y))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("option", "in_channels", "stride", "expected"),
    [
        ("A", 8, 1, nn.Identity),
        ("A", 4, 1, ZeroPad),
        ("A", 8, 2, ZeroPad),
        ("B", 8, 1, nn.Identity),
        ("B", 4, 1, nn.Sequential),
        ("B", 8, 2, nn.Sequential),
        ("C", 8, 1, nn.Sequential),
        ("none", 4, 2, type(None)),
    ],
)
def test_where_each_option_projects(option, in_channels, stride, expected) -> None:
    assert type(make_shortcut(option, in_channels, 8, stride)) is expected


def test_the_second_relu_comes_after_the_addition() -> None:
    block = BasicBlock(2, 2, 1, "A").eval()
    nn.init.zeros_(block.bn2.weight)  # F = 0, so that y = relu(x)
    x = torch.randn(1, 2, 4, 4)
    assert torch.equal(block(x), x.relu())


def test_one_layer_is_y_of_w1_x_plus_x() -> None:
    block = OneLayerBlock(2, 2, 1, "A").eval()  # BN is the identity but for its epsilon
    x = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(block(x), (block.conv1(x) + x).relu(), rtol=1e-4, atol=1e-4)


def test_stride_of_a_bottleneck() -> None:
    paper = Bottleneck(4, 4, 2, "B", "1x1")
    later = Bottleneck(4, 4, 2, "B", "3x3")
    assert (paper.conv1.stride, paper.conv2.stride) == ((2, 2), (1, 1))
    assert (later.conv1.stride, later.conv2.stride) == ((1, 1), (2, 2))
