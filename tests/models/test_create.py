import math

import pytest
import torch
from torch import nn

from deepres.errors import UserError
from deepres.models import build_network, list_models
from deepres.models.complexity import total_cost
from deepres.models.create import build_empty


def test_patterns_select_names() -> None:
    assert list_models("vgg*") == ["vgg16", "vgg19"]
    assert len(list_models()) == 25


@pytest.mark.parametrize("name", list_models())
def test_every_network_classifies(name: str) -> None:
    model = build_empty(name)
    images = torch.empty(2, 3, model.input_size, model.input_size, device="meta")
    assert model(images).shape == (2, 10 if model.input_size == 32 else 1000)


def test_any_number_of_classes_and_any_n() -> None:
    assert build_network("resnet18", num_classes=7)(torch.randn(2, 3, 64, 64)).shape == (2, 7)
    assert build_network("plain8", num_classes=3)(torch.randn(2, 3, 32, 32)).shape == (2, 3)
    assert len(build_network("resnet50-cifar").stages) == 5


def test_defaults_are_the_papers_options() -> None:
    def projections(name: str, **options: str) -> int:
        return sum("downsample.0" in key for key in build_network(name, **options).state_dict())

    assert projections("resnet34") == 0
    assert projections("resnet34", shortcut="B") == 3
    assert projections("resnet34", shortcut="C") == 16
    assert projections("resnet50") == 4
    assert projections("resnet50", shortcut="A") == 0
    assert build_network("resnet50").get_submodule("layer2.0.conv1").stride == (2, 2)


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_plain_bottlenecks_are_their_residual_twins_without_shortcuts(depth: int) -> None:
    plain, residual = build_empty(f"plain{depth}-bottleneck"), build_empty(f"resnet{depth}")
    kept = {key: t.shape for key, t in residual.state_dict().items() if "downsample" not in key}
    assert {key: tensor.shape for key, tensor in plain.state_dict().items()} == kept
    image = torch.empty(1, 3, 224, 224, device="meta")
    of_plain, of_residual = (network.intermediates(image) for network in (plain, residual))
    for ours, theirs in zip(of_plain[1:], of_residual[1:], strict=True):  # stages and responses
        assert {key: t.shape for key, t in ours.items()} == {k: t.shape for k, t in theirs.items()}
    assert total_cost(plain, 224) == total_cost(build_empty(f"resnet{depth}", shortcut="A"), 224)


def test_residual_functions_of_one_layer_at_the_same_depth_and_cost() -> None:
    one, two = (build_network("resnet20", residual_layers=layers) for layers in (1, 2))
    assert [len(one.get_submodule(f"layer{i}")) for i in (1, 2, 3)] == [6, 6, 6]
    assert [len(two.get_submodule(f"layer{i}")) for i in (1, 2, 3)] == [3, 3, 3]
    assert total_cost(one, 32) == total_cost(two, 32)
    assert total_cost(one, 32).layers == 20
    assert len(one.intermediates(torch.randn(2, 3, 32, 32)).responses) == 19
    assert build_network(**one.architecture).state_dict().keys() == one.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "given", "resolved"),
    [
        ("resnet18", {}, {"num_classes": 1000, "shortcut": "A", "pool": "pad"}),
        (
            "resnet50",
            {"num_classes": 7, "pool": "ceil"},
            {"num_classes": 7, "shortcut": "B", "stride_on": "1x1", "pool": "ceil"},
        ),
        ("plain34", {}, {"num_classes": 1000, "pool": "pad"}),
        ("plain50-bottleneck", {}, {"num_classes": 1000, "stride_on": "1x1", "pool": "pad"}),
        ("vgg16", {}, {"num_classes": 1000}),
        ("resnet20", {}, {"num_classes": 10, "residual_layers": 2}),
        ("plain20", {}, {"num_classes": 10}),
        ("highway19", {}, {"num_classes": 10}),
    ],
)
def test_its_architecture_is_all_that_builds_it_again(name, given, resolved) -> None:
    every = ("num_classes", "shortcut", "stride_on", "pool", "residual_layers")
    found = build_empty(name, **{**dict.fromkeys(every), **given}).architecture
    assert found == {"name": name, **resolved}
    assert build_empty(**found).architecture == found


def test_he_initialisation() -> None:
    torch.manual_seed(0)
    model = build_network("resnet18")
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(1).all()  # no last BN of a block starts at zero
    assert model.fc.bias.eq(0).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet21", {}, "no network resnet21: .* did you mean resnet20 or resnet18"),
        ("resnet3", {}, "did you mean resnet8"),
        ("plain50x", {}, "unknown network 'plain50x'; did you mean plain56"),
        ("resnet020", {}, "unknown network 'resnet020'"),
        ("plain101", {}, "no network plain101: .* did you mean plain101-bottleneck or plain98"),
        ("plain34-bottleneck", {}, "unknown network 'plain34-bottleneck'; did you mean plain50-b"),
        ("resnet50-bottleneck", {}, "unknown network 'resnet50-bottleneck'"),
        ("plain20-bottleneck", {}, "unknown network 'plain20-bottleneck'"),
        ("vgg11", {}, "unknown network 'vgg11'; did you mean vgg1"),
        ("resnet20", {"shortcut": "B"}, "resnet20 cannot take shortcut='B': §4.2"),
        ("plain34", {"shortcut": "A"}, "a plain network has no shortcuts"),
        ("plain50-bottleneck", {"shortcut": "B"}, "a plain network has no shortcuts"),
        ("resnet34", {"stride_on": "3x3"}, "cannot take stride_on='3x3': that is for bottlenecks"),
        ("vgg16", {"stride_on": "1x1"}, "VGG has no shortcuts and no bottlenecks"),
        ("resnet18", {"shortcut": "D"}, "shortcut must be one of A, B, C, got 'D'"),
        ("resnet50", {"stride_on": "2x2"}, "stride_on must be one of 1x1, 3x3, got '2x2'"),
        ("resnet50", {"pool": "same"}, "pool must be one of pad, ceil, got 'same'"),
        ("resnet18", {"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ("highway20", {}, "unknown network 'highway20'; did you mean highway"),
        ("highway19-cifar", {}, "unknown network 'highway19-cifar'"),
        ("highway19", {"pool": "pad"}, "a highway network has gates in all shortcuts"),
        ("resnet20", {"residual_layers": 3}, "residual_layers must be one of 1, 2, got 3"),
        ("resnet18", {"residual_layers": 1}, "residual_layers=1: that is for CIFAR-10's"),
        ("plain20", {"residual_layers": 1}, "a plain network has no residual functions"),
        ("highway19", {"residual_layers": 2}, "cannot take residual_layers=2: a highway network"),
    ],
)
def test_impossible_requests_are_one_clear_line(name, options, message) -> None:
    with pytest.raises(UserError, match=message):
        build_network(name, **options)
