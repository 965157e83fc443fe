"""Folders as the Hugging Face hub has them: a config.json, and weights of ours or of others."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepres.errors import UserError
from deepres.files import read_json
from deepres.models.classifier import Classifier
from deepres.models.exchange.checkpoint_file import read_state_dict
from deepres.models.exchange.importing import BILINEAR, import_weights
from deepres.models.exchange.preparation import (
    CROP,
    IMAGENET_MEAN,
    IMAGENET_STD,
    class_names,
    per_channel,
)
from deepres.models.exchange.transformers_resnet import network_of, our_names
from deepres.models.weight_checks import (
    INPUT_MEAN,
    INPUT_STD,
    check_fit,
    check_numbers,
    with_counters,
)
from deepres.models.weights import load_classifier

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
LIBRARY = "deepres"
CROP_SHARE = 224 / 256
WARPED_FROM = 384
"""From this size on transformers scales the whole image to the square, and crops nothing. Here its
centre is cut out, as with all other weights."""
WARPED = (
    "transformers squeezes whole images into a square of {side}; here the shorter side is scaled "
    "to {side} and the centre is cut out, so errors may differ"
)


def import_huggingface(folder: Path, say: Callable[[str], None] = lambda line: None) -> Classifier:
    """Make a classifier of what ``deepres export --to huggingface``, transformers or timm saved.

    Args:
        folder: with config.json and model.safetensors or pytorch_model.bin; of transformers
            preprocessor_config.json too, without which ImageNet's usual preparation is taken.
        say: is told what was assumed.

    Raises:
        UserError: a file is missing or does not fit, or it is none of the paper's networks.
    """
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict):
        raise UserError(f"{folder / CONFIG} describes no network")
    weights = folder / SAFETENSORS
    weights = weights if weights.exists() else folder / PICKLED
    try:
        if config.get("library_name") == LIBRARY:
            return load_classifier(weights)
        if config.get("model_type") == "resnet":
            return _from_transformers(folder, config, weights, say)
        if "pretrained_cfg" in config:
            return _from_timm(config, weights, say)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{folder / CONFIG} is not as its library writes it: {error}") from error
    raise UserError(
        f"{folder / CONFIG} is of no ResNet of deepres, transformers or timm: its model_type is "
        f"{config.get('model_type')!r}"
    )


def _from_transformers(
    folder: Path, config: dict[str, Any], weights: Path, say: Callable[[str], None]
) -> Classifier:
    state = our_names(read_state_dict(weights))
    if "fc.weight" not in state:
        raise UserError(f"{weights} has no classifier, only the layers below it")
    count = len(state["fc.weight"])
    network = network_of(config, count)
    expected = network.state_dict()
    state = with_counters(state, expected)
    check_fit(expected, state, weights)
    described = read_json(path) if (path := folder / PREPROCESSOR).exists() else {}
    mean = per_channel(tuple(described.get("image_mean", IMAGENET_MEAN)))
    std = per_channel(tuple(described.get("image_std", IMAGENET_STD)))
    check_numbers({**state, INPUT_MEAN: mean, INPUT_STD: std}, weights)
    network.load_state_dict(state, assign=True)
    labels = config.get("id2label") or {}
    names = tuple(labels[str(i)] for i in range(count)) if len(labels) == count else None
    crop, short_side = _sizes(described)
    say(BILINEAR)
    if crop == short_side >= WARPED_FROM and "crop_size" not in described:
        say(WARPED.format(side=crop))
    return Classifier(
        network,
        mean,
        names or class_names(count, None),
        std=std,
        crop=crop,
        short_side=short_side,
    ).eval()


def _sizes(described: dict[str, Any]) -> tuple[int, int]:
    """Return the crop's side and the shorter side before, from a preprocessor_config.json."""
    side = _side(described.get("size", CROP))
    if "crop_size" in described and described.get("do_center_crop", True):
        return _side(described["crop_size"]), side
    share = described.get("crop_pct") or CROP_SHARE
    return side, side if side >= WARPED_FROM else int(side / share)


def _side(size: int | dict[str, int]) -> int:
    return size if isinstance(size, int) else size.get("shortest_edge") or size["height"]


def _from_timm(config: dict[str, Any], weights: Path, say: Callable[[str], None]) -> Classifier:
    described = config["pretrained_cfg"]
    crop = described["input_size"][1]
    short_side = math.floor(crop / described.get("crop_pct", CROP_SHARE))
    name = config["architecture"]
    classifier = import_weights(weights, name, "timm", crop=crop, short_side=short_side)
    classifier.mean = per_channel(tuple(described["mean"]))
    classifier.std = per_channel(tuple(described["std"]))
    labels = config.get("label_names") or described.get("label_names") or ()
    if len(labels) == len(classifier.classes):
        classifier.classes = tuple(map(str, labels))
    say(BILINEAR)
    return classifier
