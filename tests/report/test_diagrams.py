from dataclasses import replace

import pytest
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from svg import texts

from deepres.network_diagram import Diagram, Row, Shortcut, ShortcutKind
from deepres.report.building_blocks import figure5
from deepres.report.diagrams import figure3

CONVS = [(64, 56), (64, 56), (64, 56), (128, 28), (128, 28)]
NETWORK = Diagram(
    "resnet8",
    input_size=56,
    rows=(
        *(
            Row(f"3×3 conv, {c} #{i}", f"conv{c}", f"conv{i}", channels=c, size=size)
            for i, (c, size) in enumerate(CONVS)
        ),
        Row("fc 10", "fc", "fc", channels=10, size=1),
    ),
    shortcuts=(Shortcut(0, 2, "identity"), Shortcut(2, 4, "zero-padded")),
)


def with_shortcuts(kind: ShortcutKind) -> Diagram:
    """The network with all of its shortcuts of one kind."""
    return replace(NETWORK, shortcuts=tuple(replace(s, kind=kind) for s in NETWORK.shortcuts))


def bows(figure: object) -> list[FancyArrowPatch]:
    """The curved arrows."""
    return [
        patch
        for patch in figure.axes[0].patches
        if isinstance(patch, FancyArrowPatch) and patch.get_zorder() == 1 and patch._path_original
    ]


def test_networks_stand_side_by_side() -> None:
    figure = figure3({"plain20": replace(NETWORK, shortcuts=()), "resnet20": NETWORK})
    said = texts(figure)
    assert {"plain-20", "ResNet-20"} <= set(said)
    for row in NETWORK.rows:
        assert said.count(row.label) == 2
    assert said.count("56×56") == said.count("28×28") == 2  # once where the size changes
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == 12


def test_shortcuts_that_change_the_dimensions_are_dotted() -> None:
    assert [bow.get_linestyle() for bow in bows(figure3({"resnet20": NETWORK}))] == ["-", ":"]
    option_c = bows(figure3({"resnet20": with_shortcuts("projection")}))
    assert [bow.get_linestyle() for bow in option_c] == ["-", ":"]
    highway = bows(figure3({"highway19": with_shortcuts("gated")}))
    assert {bow.get_linestyle() for bow in highway} == {"-."}


def test_shortcuts_pass_beside_the_boxes() -> None:
    (axes,) = figure3({"resnet20": NETWORK}).axes
    boxes = [patch.get_bbox() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    for bow in bows(axes.figure):
        path = bow._path_original.interpolated(1).to_polygons(closed_only=False)[0]
        assert max(path[:, 0]) > boxes[0].x1
        assert not any(box.contains(*point) for box in boxes for point in path)
        through = bow._path_original.vertices[:, 1]
        between = [box for box in boxes if min(through) < (box.y0 + box.y1) / 2 < max(through)]
        assert len(between) == 2  # a block's layers, above and below which it leaves and ends


def test_a_block_is_the_first_with_an_identity() -> None:
    figure = figure5({"resnet34": NETWORK})
    said = texts(figure)
    assert [text for text in said if "conv" in text] == ["3×3 conv, 64 #1", "3×3 conv, 64 #2"]
    assert len(bows(figure)) == 1
    assert {"ResNet-34", "64-d", "identity"} <= set(said)


def test_a_block_has_a_sum_and_a_relu_after_all_but_its_last_layer() -> None:
    (axes,) = figure5({"resnet34": NETWORK}).axes
    (circle,) = [patch for patch in axes.patches if isinstance(patch, Circle)]
    x, y = circle.center
    for line in axes.get_lines():  # its plus
        assert (line.get_xdata().mean(), line.get_ydata().mean()) == pytest.approx((x, y))
    assert len(axes.get_lines()) == 2
    (bow,) = bows(axes.figure)
    assert bow._path_original.vertices[-1] == pytest.approx((x + circle.radius, y))
    relus = [text.get_position()[1] for text in axes.texts if text.get_text() == "relu"]
    lows = [patch.get_bbox().y0 for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    assert len(relus) == len(lows) == 2
    assert lows[1] < relus[0] < lows[0]
    assert relus[1] < y  # the last follows the sum
