from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from svg import texts

from deepres.report.diagrams import Diagram, figure3, figure5

CONVS = [(64, 56), (64, 56), (64, 56), (128, 28), (128, 28)]
NETWORK: Diagram = {
    "rows": [
        *(
            {"label": f"3×3 conv, {c} #{i}", "stage": f"conv{c}", "channels": c, "size": size}
            for i, (c, size) in enumerate(CONVS)
        ),
        {"label": "fc 10", "stage": "fc", "channels": 10, "size": 1},
    ],
    "shortcuts": [
        {"start": 0, "end": 2, "kind": "identity"},
        {"start": 2, "end": 4, "kind": "zero-padded"},
    ],
}


def bows(figure: object) -> list[FancyArrowPatch]:
    """The curved arrows."""
    return [
        patch
        for patch in figure.axes[0].patches
        if isinstance(patch, FancyArrowPatch) and patch.get_zorder() == 1 and patch._path_original
    ]


def test_networks_stand_side_by_side() -> None:
    figure = figure3({"plain20": NETWORK | {"shortcuts": []}, "resnet20": NETWORK})
    said = texts(figure)
    assert {"plain-20", "ResNet-20"} <= set(said)
    for row in NETWORK["rows"]:
        assert said.count(row["label"]) == 2
    assert said.count("56×56") == said.count("28×28") == 2  # once where the size changes
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == 12


def test_shortcuts_that_change_the_dimensions_are_dotted() -> None:
    assert [bow.get_linestyle() for bow in bows(figure3({"resnet20": NETWORK}))] == ["-", ":"]
    projections = [{**each, "kind": "projection"} for each in NETWORK["shortcuts"]]
    option_c = bows(figure3({"resnet20": NETWORK | {"shortcuts": projections}}))
    assert [bow.get_linestyle() for bow in option_c] == ["-", ":"]
    gated = [{**each, "kind": "gated"} for each in NETWORK["shortcuts"]]
    highway = bows(figure3({"highway19": NETWORK | {"shortcuts": gated}}))
    assert {bow.get_linestyle() for bow in highway} == {"-."}


def test_a_block_is_the_first_with_an_identity() -> None:
    figure = figure5({"resnet34": NETWORK})
    said = texts(figure)
    assert "ResNet-34, 64-d" in said
    assert [text for text in said if "conv" in text] == ["3×3 conv, 64 #1", "3×3 conv, 64 #2"]
    assert len(bows(figure)) == 1
