from collections import Counter

import pytest
import torch

from deepres.models import build_network
from deepres.models.create import build_empty
from deepres.models.diagram import diagram
from deepres.network_diagram import Row, Shortcut


def test_figure_3s_34_layers() -> None:
    drawn = diagram(build_empty("resnet34"))
    assert (drawn.name, drawn.input_size) == ("resnet34", 224)
    labels = Counter(row.label for row in drawn.rows)
    assert labels == {
        "7×7 conv, 64, /2": 1,
        "pool, /2": 1,
        "3×3 conv, 64": 6,
        "3×3 conv, 128, /2": 1,
        "3×3 conv, 128": 7,
        "3×3 conv, 256, /2": 1,
        "3×3 conv, 256": 11,
        "3×3 conv, 512, /2": 1,
        "3×3 conv, 512": 5,
        "avg pool": 1,
        "fc 1000": 1,
    }
    assert drawn.rows[8] == Row("3×3 conv, 128, /2", "conv3_x", "layer2.0.conv1", 128, 28)
    assert drawn.rows[-1] == Row("fc 1000", "fc", "fc", 1000, 1)
    # conv2_x takes its first shortcut from the pool; those where dimensions increase are dotted
    ends = [(shortcut.start, shortcut.end) for shortcut in drawn.shortcuts]
    assert ends == [(i, i + 2) for i in range(1, 33, 2)]
    dotted = [shortcut for shortcut in drawn.shortcuts if shortcut.kind != "identity"]
    assert dotted == [Shortcut(start, start + 2, "zero-padded") for start in (7, 15, 27)]


@pytest.mark.parametrize(
    ("plain", "residual"), [("plain34", "resnet34"), ("plain50-bottleneck", "resnet50")]
)
def test_plain_twins_differ_in_the_shortcuts_alone(plain: str, residual: str) -> None:
    ours, twin = diagram(build_empty(plain)), diagram(build_empty(residual))
    assert ours.rows == twin.rows
    assert ours.shortcuts == ()


def test_vgg19s_column() -> None:
    drawn = diagram(build_empty("vgg19"))
    assert [row.label for row in drawn.rows[:3]] == ["3×3 conv, 64", "3×3 conv, 64", "pool, /2"]
    assert [row.label for row in drawn.rows[-4:]] == ["pool, /2", "fc 4096", "fc 4096", "fc 1000"]
    assert [row.size for row in drawn.rows if row.label == "pool, /2"] == [112, 56, 28, 14, 7]


def test_figure_5s_bottleneck() -> None:
    drawn = diagram(build_empty("resnet50"))
    shortcut = drawn.shortcuts[1]
    block = drawn.rows[shortcut.start + 1 : shortcut.end + 1]
    assert [row.label for row in block] == ["1×1 conv, 64", "3×3 conv, 64", "1×1 conv, 256"]
    assert drawn.rows[shortcut.start].channels == 256
    kinds = Counter(shortcut.kind for shortcut in drawn.shortcuts)
    assert kinds == {"projection": 4, "identity": 12}
    # the paper's bottleneck halves the map in its first layer
    assert "1×1 conv, 128, /2" in [row.label for row in drawn.rows]


def test_options_show() -> None:
    one = diagram(build_network("resnet8", residual_layers=1))
    assert [(s.start, s.end) for s in one.shortcuts] == [(i, i + 1) for i in range(6)]
    gated = diagram(build_empty("highway19"))
    assert {shortcut.kind for shortcut in gated.shortcuts} == {"gated"}
    assert len(gated.shortcuts) == 14
    assert gated.rows[-3].label == "1×1 conv, 100"


def test_the_network_stays_as_it_is() -> None:
    network = build_network("resnet8")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    diagram(network)
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
