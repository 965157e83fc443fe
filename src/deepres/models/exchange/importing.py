"""Weights of torchvision, timm and the authors' released models, as our classifiers."""

from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any, Literal, get_args

import torch
from safetensors import safe_open
from torch import Tensor

from deepres.errors import UserError, unknown_name
from deepres.models.classifier import Classifier
from deepres.models.create import build_empty
from deepres.models.exchange.checkpoint_file import read_state_dict
from deepres.models.exchange.preparation import (
    CROP,
    IMAGENET_MEAN,
    IMAGENET_STD,
    SHORT_SIDE,
    class_names,
    four_digits,
    per_channel,
    read_mean,
)
from deepres.models.exchange.released import PROGRAMS, pooling_in_words, read_released
from deepres.models.exchange.released_state import MERGED, has_merged_statistics
from deepres.models.resnet import Pool
from deepres.models.stages import StagedNetwork
from deepres.models.weight_checks import (
    INPUT_MEAN,
    INPUT_STD,
    check_fit,
    check_numbers,
    with_counters,
)
from deepres.models.weights import METADATA

Source = Literal["torchvision", "timm", "caffe", "openmmlab", "detectron", "keras"]
SOURCES: tuple[str, ...] = get_args(Source)

# The options of create_model that make torchvision's and timm's networks.
BASIC: dict[str, Any] = {"shortcut": "B", "pool": "pad"}
BOTTLENECK: dict[str, Any] = {**BASIC, "stride_on": "3x3"}
TORCH_OPTIONS: dict[str, dict[str, Any]] = {
    "resnet18": BASIC,
    "resnet34": BASIC,
    "resnet50": BOTTLENECK,
    "resnet101": BOTTLENECK,
    "resnet152": BOTTLENECK,
    "vgg16": {},
    "vgg19": {},
}
# Where these are not the paper's.
OPTION_B = "its shortcuts are of option B, as in Table 3; in Table 2 they are of option A"
STRIDE_3X3 = "its bottlenecks halve the map in the 3×3; the paper's do so in their first 1×1"
BILINEAR = (
    "images are resized bilinearly, whatever the weights were made for (some of timm's: bicubic); "
    "errors may differ slightly"
)
TIMM_VGG_HEAD = {"pre_logits.fc1": "0", "pre_logits.fc2": "3", "head.fc": "6"}


def import_weights(
    file: Path,
    name: str,
    source: Source,
    *,
    mean: Path | None = None,
    classes: Path | None = None,
    crop: int = CROP,
    short_side: int = SHORT_SIDE,
    key: str | None = None,
    pool: Pool | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Classifier:
    """Make a classifier of another program's checkpoint.

    Args:
        file: a state dict (.pth, .safetensors), a .caffemodel, .pkl or .h5.
        name: the network, e.g. resnet50; the file must fit it exactly.
        source: "torchvision" or "timm"; or "caffe", "openmmlab", "detectron" or "keras", for the
            authors' released models. It decides details of the network that leave no trace in the
            file, and the preparation of its input.
        mean: for the authors' models, the .binaryproto of their mean image; without it, the mean
            of each channel that the program subtracts is taken.
        classes: a text file, a class a line.
        crop: the side in pixels of the square that the network takes.
        short_side: what the shorter side of an image is scaled to before.
        key: under which the file has the weights, if it has several networks.
        pool: the border of the max pool, for the authors' models; by default as in ``source``.
        say: is told what was assumed, line by line.

    Raises:
        UserError: a file cannot be read or does not fit, or there is no such network.
    """
    if source not in SOURCES:
        raise unknown_name("source of weights", source, SOURCES)
    if not 1 <= crop <= short_side:
        raise UserError(
            f"the square must fit the scaled image: crop {crop}, short side {short_side}"
        )
    if mean and source not in PROGRAMS:
        raise UserError(f"a mean image goes with the authors' models; {source} has fixed constants")
    if pool and source not in PROGRAMS:
        raise UserError(f"the pooling of {source}'s networks is known; leave out pool {pool}")
    if key is not None and source in PROGRAMS:
        raise UserError(f"a file of {source} holds one network; leave out the key")
    if _is_ours(file):
        raise UserError(
            f"{file} is deepres's own already, and needs no import; give it where weights are "
            f"asked for, e.g. deepres predict {quote(str(file))} IMAGE"
        )
    if source in PROGRAMS:
        network, state = read_released(file, name, source, pool)
        constants = PROGRAMS[source].mean
        mean_tensor = read_mean(mean) if mean else per_channel(constants) / 255
        std = torch.full((3, 1, 1), 1 / 255)
        how = pooling_in_words(network.architecture["pool"], source)
        say(f"{name} as released: stride on the 1×1; {how}; input is RGB here")
        if has_merged_statistics(state):
            say(MERGED)
        if not mean:
            say(f"no mean image was given: subtracting {constants} from R, G, B of 0 to 255")
    else:
        network, state = _from_torch(file, name, source, key, say)
        mean_tensor, std = per_channel(IMAGENET_MEAN), per_channel(IMAGENET_STD)
        if options := TORCH_OPTIONS[name]:
            say(f"{source}'s {name}: {STRIDE_3X3 if 'stride_on' in options else OPTION_B}")
    check_numbers({**state, INPUT_MEAN: mean_tensor, INPUT_STD: std}, file)
    network.load_state_dict(state, assign=True)
    names = class_names(state[_head(name)].shape[0], classes)
    prepared = Classifier(
        network, mean_tensor, names, std=std, crop=crop, short_side=short_side
    ).eval()
    say(f"input: short side {short_side}, crop {crop}; {len(names)} classes")
    of_channels = "the mean image, on average" if mean else "the mean"
    subtracted = four_digits(mean_tensor.mean((1, 2)))
    say(
        f"of R, G, B in [0, 1] {of_channels} {subtracted} is subtracted, "
        f"then the std {four_digits(std)} divides"
    )
    if source == "timm":
        say(BILINEAR)
    return prepared


def _is_ours(file: Path) -> bool:
    try:
        with safe_open(file, framework="pt") as archive:
            return METADATA in (archive.metadata() or {})
    except Exception:  # it is of another kind, which its own reader takes or refuses
        return False


def torch_options(name: str, program: str) -> dict[str, Any]:
    """Return the options with which ``create_model`` makes torchvision's or timm's network.

    Raises:
        UserError: ``program`` has no such network.
    """
    if name not in TORCH_OPTIONS:
        raise UserError(f"{program} has no {name}; it has {', '.join(TORCH_OPTIONS)}")
    return TORCH_OPTIONS[name]


def _from_torch(
    file: Path, name: str, source: str, key: str | None, say: Callable[[str], None]
) -> tuple[StagedNetwork, dict[str, Tensor]]:
    options = torch_options(name, source)
    state = read_state_dict(file, key, say)
    if source == "timm" and name.startswith("vgg"):
        state = _torchvision_vgg(state)
    head = state.get(_head(name))
    num_classes = head.shape[0] if head is not None and head.ndim == 2 else 1000
    network = build_empty(name, num_classes=num_classes, **options)
    expected = network.state_dict()
    state = with_counters(state, expected)
    for each, tensor in expected.items():
        found = state.get(each, tensor)
        if tensor.is_floating_point() and not found.is_floating_point():
            kind = str(found.dtype).removeprefix("torch.")
            raise UserError(
                f"{file} holds {kind} numbers for {each}, and floating-point ones were expected; "
                "of a quantised network give the weights before that"
            )
    check_fit(expected, state, file)
    return network, {key: state[key].to(tensor.dtype) for key, tensor in expected.items()}


def _torchvision_vgg(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename timm's VGG, whose first two fully connected layers are written as convolutions."""
    renamed = {}
    for key, tensor in state.items():
        layer, _, kind = key.rpartition(".")
        if layer in TIMM_VGG_HEAD:
            key = f"classifier.{TIMM_VGG_HEAD[layer]}.{kind}"
            tensor = tensor.flatten(1) if tensor.ndim == 4 else tensor
        renamed[key] = tensor
    return renamed


def _head(name: str) -> str:
    return "classifier.6.weight" if name.startswith("vgg") else "fc.weight"
