"""The ResNet of the library transformers: its config.json, and its names for our modules."""

import re
from typing import Any

from torch import Tensor

from deepres.errors import UserError
from deepres.models.blocks import BasicBlock, Bottleneck
from deepres.models.create import build_empty
from deepres.models.resnet import IMAGENET
from deepres.models.stages import StagedNetwork

EXPANSIONS = {"basic": BasicBlock.expansion, "bottleneck": Bottleneck.expansion}
FIXED = {
    "num_channels": 3,
    "embedding_size": 64,
    "hidden_act": "relu",
    "downsample_in_first_stage": False,
}
"""What the paper's networks have; also what a config.json means that does not say."""
PARTS = {"convolution": ("conv", "0"), "normalization": ("bn", "1")}
BLOCK = re.compile(
    r"resnet\.encoder\.stages\.(\d)\.layers\.(\d+)\."
    r"(?:layer\.(?P<layer>\d)|(?P<shortcut>shortcut))\.(?P<part>convolution|normalization)\.(.+)"
)
STEM = re.compile(r"resnet\.embedder\.embedder\.(convolution|normalization)\.(.+)")


def network_of(config: dict[str, Any], num_classes: int) -> StagedNetwork:
    """Build the network that a config.json describes, without memory for its weights.

    transformers pads the max pool and projects as option B does; bottlenecks halve the map in the
    3×3, or in the first 1×1, as in the paper, with ``downsample_in_bottleneck``.

    Raises:
        UserError: it is none of the paper's networks.
    """
    kind, depths = config.get("layer_type", "bottleneck"), tuple(config.get("depths", (3, 4, 6, 3)))
    expansion = EXPANSIONS.get(kind)
    widths = [64 * (expansion or 1) << i for i in range(4)]
    expected = {**FIXED, "hidden_sizes": widths}
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise UserError(f"none of the paper's networks has {key} {config[key]}")
    for depth, (block, blocks) in IMAGENET.items():
        if (block.expansion, blocks) == (expansion, depths):
            options: dict[str, Any] = {"shortcut": "B", "pool": "pad"}
            if kind == "bottleneck":
                in_1x1 = config.get("downsample_in_bottleneck", False)
                options["stride_on"] = "1x1" if in_1x1 else "3x3"
            return build_empty(f"resnet{depth}", num_classes=num_classes, **options)
    raise UserError(f"none of the paper's networks has stages of {depths} {kind} blocks")


def our_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of transformers under our names; what it does not know stays as it is."""
    return {_our_name(key): tensor for key, tensor in state.items()}


def _our_name(key: str) -> str:
    if stem := STEM.fullmatch(key):
        return f"{PARTS[stem[1]][0]}1.{stem[2]}"
    if block := BLOCK.fullmatch(key):
        prefix = f"layer{int(block[1]) + 1}.{block[2]}"
        module, place = PARTS[block["part"]]
        if block["shortcut"]:
            return f"{prefix}.downsample.{place}.{block[6]}"
        return f"{prefix}.{module}{int(block['layer']) + 1}.{block[6]}"
    return key.replace("classifier.1.", "fc.")
