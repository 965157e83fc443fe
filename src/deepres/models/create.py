"""Networks by name."""

import fnmatch
import re
from typing import Any, get_args

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from deepres.errors import UserError, plain_spelling, unknown_name, whole_number
from deepres.models.blocks import BasicBlock, Bottleneck, ShortcutOption, StrideOn
from deepres.models.highway import GATE_BIAS, LAYERS, HighwayLayer, HighwayNetwork
from deepres.models.resnet import IMAGENET, Pool, cifar_resnet, imagenet_resnet
from deepres.models.stages import StagedNetwork
from deepres.models.vgg import BLOCKS, VGG
from deepres.recipes import cifar10, imagenet
from deepres.recipes.cifar10 import depths_near, usual_name

NAMES = (*imagenet.NETWORKS, "vgg16", "vgg19", *cifar10.NETWORKS, "highway19", "highway32")
MOST_LAYERS = 10_000
"""Eight times the paper's deepest; more are built for minutes, and trained by nobody."""
DRAWING = {"kaiming_uniform_", "normal_", "uniform_", "fill_", "zero_"}
"""What sets weights, of ``torch.nn.init`` and of tensors."""


def list_models(pattern: str = "*") -> list[str]:
    """Return the networks whose names match the shell-style ``pattern``."""
    return fnmatch.filter(NAMES, pattern)


def build_network(
    name: str,
    *,
    num_classes: int | None = None,
    shortcut: ShortcutOption | None = None,
    stride_on: StrideOn | None = None,
    pool: Pool | None = None,
    residual_layers: int | None = None,
) -> StagedNetwork:
    """Build a network of the paper, He-initialised: ``deepres.create_model`` without weights.

    Its arguments are told there.

    Raises:
        UserError: there is no such network, or it has no such option.
    """
    if num_classes is not None:
        num_classes = check_number_of_classes(num_classes)
    if not isinstance(name, str):
        raise UserError(f"expected a network's name, e.g. 'resnet20', got {name!r}")
    match = re.fullmatch(r"(plain|resnet|vgg|highway)([1-9][0-9]{0,6})(-cifar|-bottleneck)?", name)
    if not match:
        raise unknown_name("network", name, _names_near(name))
    if int(match[2]) > MOST_LAYERS:
        raise UserError(f"{name} is too deep: networks have {MOST_LAYERS:,} layers at most")
    kind, depth, suffix = match[1], int(match[2]), match[3]
    _check_option("shortcut", shortcut, ("A", "B", "C"))
    _check_option("stride_on", stride_on, get_args(StrideOn))
    _check_option("pool", pool, get_args(Pool))
    _check_option("residual_layers", residual_layers, (1, 2))
    given: dict[str, Any] = {"shortcut": shortcut, "stride_on": stride_on, "pool": pool}
    given["residual_layers"] = residual_layers

    model: StagedNetwork
    options: dict[str, Any] = {}  # those that this network has
    if kind == "vgg" and depth in BLOCKS and not suffix:
        _refuse(name, "VGG has no shortcuts and no bottlenecks", **given)
        num_classes = num_classes or 1000
        model = VGG(depth, num_classes)
    elif kind == "highway" and depth in LAYERS and not suffix:
        _refuse(name, "a highway network has gates in all shortcuts", **given)
        num_classes = num_classes or 10
        model = HighwayNetwork(depth, num_classes)
    elif kind in ("vgg", "highway"):
        raise unknown_name("network", name, NAMES)
    elif depth in IMAGENET and suffix == _suffix_in_table_1(kind, depth):
        num_classes = num_classes or 1000
        model, options = _of_table_1(name, kind, depth, num_classes, **given)
    elif depth >= 8 and depth % 6 == 2 and suffix != "-bottleneck":
        num_classes = num_classes or 10
        model, options = _of_cifar10(name, kind, depth, num_classes, **given)
        name = usual_name(name)
    elif suffix:
        raise unknown_name("network", name, NAMES)
    else:
        raise _no_such_depth(kind, depth)
    he_initialise(model)
    model.architecture = {"name": name, "num_classes": num_classes, **options}
    return model


def _of_table_1(
    name: str,
    kind: str,
    depth: int,
    num_classes: int,
    *,
    shortcut: ShortcutOption | None,
    stride_on: StrideOn | None,
    pool: Pool | None,
    residual_layers: int | None,
) -> tuple[StagedNetwork, dict[str, Any]]:
    """Build a network of Table 1, or its plain twin; return it and the options that it has."""
    plain, basic = kind == "plain", IMAGENET[depth][0] is BasicBlock
    if plain:
        _refuse(name, "a plain network has no shortcuts", shortcut=shortcut)
    if basic:
        _refuse(name, "that is for bottlenecks, in 50 layers and more", stride_on=stride_on)
    _refuse(name, "that is for CIFAR-10's networks", residual_layers=residual_layers)
    shortcut = shortcut or ("A" if basic else "B")
    stride_on, pool = stride_on or "1x1", pool or "pad"
    network = imagenet_resnet(depth, "none" if plain else shortcut, stride_on, pool, num_classes)
    options: dict[str, Any] = {"pool": pool}
    if not plain:
        options["shortcut"] = shortcut
    if not basic:
        options["stride_on"] = stride_on
    return network, options


def _of_cifar10(
    name: str,
    kind: str,
    depth: int,
    num_classes: int,
    *,
    residual_layers: int | None,
    **of_table_1: object,
) -> tuple[StagedNetwork, dict[str, Any]]:
    """Build a network of §4.2; return it and the options that it has."""
    _refuse(name, "§4.2 uses option A and basic blocks throughout", **of_table_1)
    if kind == "plain":
        _refuse(name, "a plain network has no residual functions", residual_layers=residual_layers)
        return cifar_resnet(depth, "none", num_classes, 2), {}
    layers = residual_layers or 2
    return cifar_resnet(depth, "A", num_classes, layers), {"residual_layers": layers}


def check_number_of_classes(count: int) -> int:
    """Return ``count`` as Python's own int.

    Raises:
        UserError: it is no whole number from 1 on.
    """
    return whole_number(count, "num_classes", 1)


def he_initialise(model: nn.Module) -> None:
    """Draw weights from a normal distribution with variance 2/fan_in; biases are zero.

    He et al. 2015b (the paper's [13]), Eq. 10. BN starts as the identity. The gates of highway
    networks have a negative bias, so that they start near the identity.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, HighwayLayer):
            assert module.gate.bias is not None
            nn.init.constant_(module.gate.bias, GATE_BIAS)


def build_empty(name: str, **options: Any) -> StagedNetwork:
    """Build a network without memory for its weights: to count, to draw, or to be given some."""
    with torch.device("meta"), _NoValues():
        return build_network(name, **options)


class _NoValues(TorchFunctionMode):
    """Draws no weights, which on the meta device takes long and leaves nothing."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(function, "__name__", "") in DRAWING:
            return args[0] if args else kwargs["tensor"]
        if function in (torch.zeros, torch.ones):
            function = torch.empty
        return function(*args, **(kwargs or {}))


def _names_near(name: str) -> list[str]:
    """Return ``NAMES``, and the network that ``name`` is if only its spelling is wrong."""
    match = re.fullmatch(r"(plain|resnet)([1-9][0-9]{0,3})", plain_spelling(name))
    exists = match and int(match[2]) >= 8 and int(match[2]) % 6 == 2
    return [*NAMES, match[0]] if match and exists and match[0] not in NAMES else [*NAMES]


def _suffix_in_table_1(kind: str, depth: int) -> str | None:
    """Return what follows the depth in the name of a network of Table 1, or of its plain twin."""
    return "-bottleneck" if kind == "plain" and IMAGENET[depth][0] is Bottleneck else None


def _no_such_depth(kind: str, depth: int) -> UserError:
    depths = sorted({*IMAGENET, *depths_near(depth)}, key=lambda known: abs(known - depth))
    nearest = [
        f"{kind}{d}{_suffix_in_table_1(kind, d) or '' if d in IMAGENET else ''}" for d in depths
    ]
    return UserError(
        f"no network {kind}{depth}: depths are 18, 34, 50, 101, 152 for ImageNet and 6n+2 for "
        f"CIFAR-10; did you mean {' or '.join(nearest[:2])}?"
    )


def _check_option(option: str, value: object, known: tuple[object, ...]) -> None:
    if value is not None and value not in known:
        raise UserError(f"{option} must be one of {', '.join(map(str, known))}, got {value!r}")


def _refuse(name: str, why: str, **given: object) -> None:
    for option, value in given.items():
        if value is not None:
            raise UserError(f"{name} cannot take {option}={value!r}: {why}")
