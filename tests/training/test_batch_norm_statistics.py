import pytest
import torch
from torch import Tensor, nn

from deepres.models import build_network
from deepres.models.stages import StagedNetwork
from deepres.training.batch_norm_statistics import set_exact_statistics


def batches(*sizes: int) -> list[Tensor]:
    """Their brightness drifts, so that the mean of variances is not the variance of all."""
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(size, 3, 32, 32, generator=generator) * (1 + i) + 2 * i
        for i, size in enumerate(sizes)
    ]


@pytest.fixture
def network() -> StagedNetwork:
    torch.manual_seed(0)
    return build_network("resnet8")


def first_responses(network: StagedNetwork, images: list[Tensor]) -> Tensor:
    """What the first BN layer is fed, (channels, all places), in float64."""
    convolution = network.get_submodule("conv1")
    with torch.no_grad():
        fed = torch.cat([convolution(batch) for batch in images])
    return fed.double().transpose(0, 1).flatten(1)


@pytest.mark.parametrize("sizes", [(8,), (8, 8, 8), (8, 3, 20)])
def test_the_first_layers_statistics_are_those_of_all_images(
    network: StagedNetwork, sizes: tuple[int, ...]
) -> None:
    images = batches(*sizes)
    fed = first_responses(network, images)
    set_exact_statistics(network, images)
    layer = network.get_submodule("bn1")
    torch.testing.assert_close(layer.running_mean.double(), fed.mean(1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.running_var.double(), fed.var(1), rtol=1e-5, atol=1e-5)


def test_the_variance_is_unbiased(network: StagedNetwork) -> None:
    layer = nn.BatchNorm2d(3)
    (images,) = batches(2)
    few = images[:, :, :1, :1]  # two values a channel: n or n - 1 makes a factor of two
    set_exact_statistics(layer, [few])
    torch.testing.assert_close(layer.running_var, few.flatten(1).var(0))


def test_one_batch_gives_the_statistics_of_training_on_it(network: StagedNetwork) -> None:
    """In all layers: PyTorch's own with a momentum of one."""
    (images,) = batches(16)
    twin = build_network("resnet8")
    twin.load_state_dict(network.state_dict())
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    twin.train()(images)
    set_exact_statistics(network, [images])
    expected = dict(twin.named_buffers())
    for name, buffer in network.named_buffers():
        if "running" in name:
            torch.testing.assert_close(buffer, expected[name], rtol=1e-4, atol=1e-4)


def test_then_evaluation_does_to_a_batch_what_training_does(network: StagedNetwork) -> None:
    (images,) = batches(16)
    expected = network.train()(images)
    set_exact_statistics(network, [images])
    found = network.eval()(images)
    # But for n / (n - 1): the last layers see 16 · 64 values a channel.
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_else_is_changed(network: StagedNetwork, training: bool) -> None:
    network.train(training)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    done: list[int] = []
    set_exact_statistics(network, batches(4, 4), done.append)
    assert done == [1, 2]
    assert all(module.training == training for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None


def test_what_is_frozen_stays_and_normalises_by_what_it_has(network: StagedNetwork) -> None:
    (images,) = batches(16)
    set_exact_statistics(network, [images / 2])
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    frozen = [network.get_submodule(name) for name in ("conv1", "bn1", "layer1")]
    network.layer1.eval()
    set_exact_statistics(network, [images], frozen=frozen)
    assert network.bn1.training
    assert not any(module.training for module in network.layer1.modules())
    changed = {name for name, buffer in network.named_buffers() if (buffer != before[name]).any()}
    assert {name.partition(".")[0] for name in changed} == {"layer2", "layer3"}
    for module in frozen:
        module.eval()
    with torch.no_grad():
        fed = network.get_submodule("layer2.0.conv1")(network.run_to("conv2_x", images))
    layer = network.get_submodule("layer2.0.bn1")
    expected = fed.mean((0, 2, 3))
    torch.testing.assert_close(layer.running_mean, expected, rtol=1e-4, atol=1e-4)


def test_a_failure_leaves_mode_and_hooks_as_they_were(network: StagedNetwork) -> None:
    network.eval()
    with pytest.raises(RuntimeError, match="channels"):
        set_exact_statistics(network, [torch.zeros(2, 5, 32, 32)])
    assert not any(module.training for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())
