"""Weights by name: a path, a network, a run that comes with deepres, or ``hf:owner/name``."""

import re
from collections.abc import Callable
from pathlib import Path

from deepres.errors import UserError, did_you_mean, no_such, unknown_name
from deepres.execution import say_nothing
from deepres.models.create import NAMES, build_empty
from deepres.pretrained.bundled import best_bundled_run, bundled_run, bundled_runs
from deepres.pretrained.catalogue import PUBLISHED
from deepres.pretrained.hub import PREFIX, hub_weights
from deepres.pretrained.introduction import introduction
from deepres.pretrained.published import published_weights

SOURCES = ("deepres", *PUBLISHED)
"""Whose weights a network's name can stand for, in the order in which they are preferred."""
NETWORK = re.compile(r"(plain|resnet|vgg|highway)\d+(-cifar|-bottleneck)?")


def find_weights(
    subject: str | Path, source: str | None = None, say: Callable[[str], None] = say_nothing
) -> Path:
    """Return the run's folder or the file of weights that ``subject`` names.

    Weights by name are fetched at first use, and ``say`` is told which network they are of and
    what input they expect.

    Args:
        subject: the path of a run's folder or of a file; a network, e.g. resnet50; a run that comes
            with deepres, e.g. resnet20-s0; or ``hf:owner/name``. What exists as a path is one.
        source: whose weights the network's name stands for: "deepres" (they come with it), "msra"
            (the authors' own) or "torchvision". None: the first of these that has any.
        say: receives lines for the user.

    Raises:
        UserError: there are no such weights, or they cannot be fetched.
    """
    if not isinstance(subject, str | Path):
        raise UserError(f"weights are given by a path or a name, got {subject!r}")
    name = str(subject)
    if not name:  # as a path it would be the working folder
        raise UserError("weights are given by a path or a name, got an empty one")
    if source is not None:
        if source not in SOURCES:
            raise unknown_name("source of weights", source, SOURCES)
        return _told(_by_name(name, source, say), say)
    if name.startswith(PREFIX):
        return _told(hub_weights(name, say), say)
    if Path(subject).exists():
        return Path(subject)
    if not (NETWORK.fullmatch(name) or _is_bundled(name)):
        named = [*NAMES, *bundled_runs()] if Path(name).name == name else []
        if question := did_you_mean(name, named):
            raise UserError(f"{name}: no such file, folder or network{question}")
        what_to_give = (
            "give a run's folder, a .safetensors file, a network's name, e.g. resnet20, or "
            "hf:owner/name"
        )
        raise UserError(no_such("file or folder", name, what_to_give))
    for each in SOURCES:
        if (each == "deepres" and _is_bundled(name)) or name in PUBLISHED.get(each, {}):
            return _told(_by_name(name, each, say), say)
    build_empty(name)  # a name that is none has another remedy
    raise UserError(
        f"no weights of {name} come with deepres or can be fetched, and there is no run or file "
        f"of that name; train it: deepres train {name}"
    )


def weights_for(
    network: str, weights: str | Path, say: Callable[[str], None] = say_nothing
) -> Path:
    """Return the weights that ``weights`` names for a network: a source, or a subject as above.

    Raises:
        UserError: there are no such weights, or they cannot be fetched.
    """
    if str(weights) in SOURCES:
        return find_weights(network, str(weights), say)
    return find_weights(weights, say=say)


def _by_name(name: str, source: str, say: Callable[[str], None]) -> Path:
    if source == "deepres":
        return bundled_run(name)
    return published_weights(name, source, say)


def _is_bundled(name: str) -> bool:
    return name in bundled_runs() or best_bundled_run(name) is not None


def _told(path: Path, say: Callable[[str], None]) -> Path:
    if say is not say_nothing:
        for line in introduction(path):
            say(line)
    return path
