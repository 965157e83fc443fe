"""The networks against other people's: with the same weights they must say the same."""

import pytest
import torch
import torchvision
from torch import nn

from deepres.models import build_network

SAME = [
    ("resnet18", {"shortcut": "B"}),
    ("resnet34", {"shortcut": "B"}),
    ("resnet50", {"stride_on": "3x3"}),
    ("resnet101", {"stride_on": "3x3"}),
    ("resnet152", {"stride_on": "3x3"}),
    ("vgg16", {}),
    ("vgg19", {}),
]


def settle(model: nn.Module) -> None:
    """Give BN statistics and weights that a trained net could have: none of them neutral."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.0, generator=generator)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.2, 0.2, generator=generator)


@torch.inference_mode()
def assert_same_outputs(ours: nn.Module, theirs: nn.Module) -> None:
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(2))
    expected = theirs.eval()(images)
    error = (ours.eval()(images) - expected).norm() / expected.norm()
    assert error < 1e-5
    assert expected.std() > 0


@pytest.mark.parametrize(("name", "options"), SAME)
def test_torchvision(name: str, options: dict[str, str]) -> None:
    ours = build_network(name, **options)
    settle(ours)
    theirs = getattr(torchvision.models, name)()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert_same_outputs(ours, theirs)
    other = build_network(name, **options)
    other.load_state_dict(theirs.state_dict(), strict=True)
    assert_same_outputs(other, theirs)


@pytest.mark.parametrize(("name", "options"), SAME[:3])
def test_timm(name: str, options: dict[str, str]) -> None:
    ours = build_network(name, **options)
    settle(ours)
    timm = pytest.importorskip("timm", reason="deepres[test] brings it")
    theirs = timm.create_model(name, pretrained=False)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert_same_outputs(ours, theirs)


def test_the_papers_bottleneck_is_another_network() -> None:
    ours = build_network("resnet50")
    settle(ours)
    theirs = torchvision.models.resnet50()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    with pytest.raises(AssertionError):
        assert_same_outputs(ours, theirs)


@torch.inference_mode()
def test_option_a_is_option_b_with_fixed_projections() -> None:
    # A projection whose filters copy the first channels, followed by a neutral BN, is option A.
    a, b = build_network("resnet18", shortcut="A"), build_network("resnet18", shortcut="B")
    settle(a)
    b.load_state_dict(a.state_dict(), strict=False)
    for name, module in b.named_modules():
        if name.endswith("downsample") and isinstance(module, nn.Sequential):
            conv, bn = module
            conv.weight.copy_(torch.eye(*conv.weight.shape[:2])[:, :, None, None])
            bn.eps = 1e-12
    assert_same_outputs(a, b)


@torch.inference_mode()
def test_cifar_networks_by_hand() -> None:
    # §4.2 written out once more, with functions only.
    functional = nn.functional
    ours = build_network("resnet14").eval()
    settle(ours)
    w = ours.state_dict()

    def conv_bn(x: torch.Tensor, conv: str, bn: str, stride: int) -> torch.Tensor:
        x = functional.conv2d(x, w[f"{conv}.weight"], stride=stride, padding=1)
        statistics = (w[f"{bn}.running_mean"], w[f"{bn}.running_var"])
        return functional.batch_norm(x, *statistics, w[f"{bn}.weight"], w[f"{bn}.bias"])

    images = torch.randn(2, 3, 32, 32)
    x = conv_bn(images, "conv1", "bn1", 1).relu()
    for layer, channels in ((1, 16), (2, 32), (3, 64)):
        for block in range(2):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            out = conv_bn(x, f"{name}.conv1", f"{name}.bn1", stride).relu()
            out = conv_bn(out, f"{name}.conv2", f"{name}.bn2", 1)
            shortcut = torch.zeros_like(out)
            shortcut[:, : x.shape[1]] = x[..., ::stride, ::stride]
            x = (out + shortcut).relu()
            assert x.shape[1] == channels
    expected = functional.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"])
    torch.testing.assert_close(ours(images), expected)
