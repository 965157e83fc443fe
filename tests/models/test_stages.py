import pytest
import torch

from deepres.models import build_network


def test_stages_and_responses_are_handed_out() -> None:
    model = build_network("resnet20").eval()
    images = torch.randn(2, 3, 32, 32)
    logits, stages, responses = model.intermediates(images)
    assert torch.equal(logits, model(images))
    assert {name: tuple(output.shape[1:]) for name, output in stages.items()} == {
        "conv1": (16, 32, 32),
        "conv2_x": (16, 32, 32),
        "conv3_x": (32, 16, 16),
        "conv4_x": (64, 8, 8),
        "fc": (10,),
    }
    assert len(responses) == 19  # every 3×3 layer; Figure 7
    assert list(responses)[:3] == ["conv1", "layer1.0.conv1", "layer1.0.conv2"]


@pytest.mark.parametrize(
    ("name", "pixels", "shape"),
    [("resnet20", 32, (64, 8, 8)), ("resnet18", 64, (512, 2, 2)), ("plain18", 96, (512, 3, 3))],
)
def test_the_head_of_the_features_is_the_network(
    name: str, pixels: int, shape: tuple[int, ...]
) -> None:
    model = build_network(name).eval()
    images = torch.randn(2, 3, pixels, pixels)
    features = model.feature_map(images)
    assert features.shape[1:] == shape
    assert torch.equal(features, list(model.intermediates(images).stages.values())[-2])
    assert torch.equal(model.head(features), model(images))
    pooled = model.get_submodule("fc")(features.mean((2, 3)))
    torch.testing.assert_close(model.head(features), pooled, rtol=1e-4, atol=1e-4)


def test_a_response_is_taken_after_bn_and_before_the_nonlinearity() -> None:
    model = build_network("resnet8")  # in training mode: BN normalises each channel of the batch
    *_, responses = model.intermediates(torch.randn(16, 3, 32, 32))
    for response in responses.values():
        torch.testing.assert_close(response.mean((0, 2, 3)), torch.zeros(response.shape[1]))
        assert (response < 0).any()


def test_only_3x3_layers_respond_in_a_bottleneck() -> None:
    model = build_network("resnet50", num_classes=2).eval()
    *_, responses = model.intermediates(torch.randn(1, 3, 64, 64))
    assert len(responses) == 16
    assert all(name.endswith("conv2") for name in responses)


def test_no_hook_is_left_behind() -> None:
    model = build_network("plain8")
    model.intermediates(torch.randn(2, 3, 32, 32))
    assert not any(module._forward_hooks for module in model.modules())
