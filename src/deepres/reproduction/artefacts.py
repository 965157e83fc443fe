"""The paper's tables and figures as data: what each shows, and which runs it needs."""

import fnmatch
import re
from dataclasses import dataclass
from typing import Literal

from deepres.errors import unknown_name
from deepres.recipes.cifar10 import NETWORKS

Views = Literal["1-crop", "10-crop", "multi-scale"]


@dataclass(frozen=True)
class Study:
    """A network to train, and what to measure of it afterwards."""

    recipe: str
    settings: tuple[str, ...] = ()
    """Fields of the recipe that differ, each ``field=value``."""
    views: Views | None = None
    """How it is tested after training (§3.4)."""
    responses: bool = False
    """Whether its layers' responses are measured (Figure 7)."""
    first_seed: int = 0


@dataclass(frozen=True)
class Artefact:
    """A table or figure."""

    name: str
    shows: str
    studies: tuple[Study, ...] = ()
    """None for what is drawn from the networks themselves."""
    by_hand: bool = False
    """Whether its runs are started one by one, by commands that stand below the table, since they
    need data and weights that a user has to get; it is drawn from all runs that there are."""

    @property
    def title(self) -> str:
        """Its name in print: "Table 6"."""
        return re.sub(r"(\d+)", r" \1", self.name).capitalize()

    @property
    def is_numbered(self) -> bool:
        """Whether the paper has it, by a number."""
        return self.name[-1].isdigit()


def _studies(
    *recipes: str, views: Views | None = None, responses: bool = False
) -> tuple[Study, ...]:
    return tuple(Study(recipe, views=views, responses=responses) for recipe in recipes)


def _option(option: str, views: Views) -> Study:
    return Study("resnet34", (f"shortcut={option}",), views)


_OF_CIFAR10 = tuple(name for name in NETWORKS if name.startswith("resnet"))
_DEEP = ("resnet50", "resnet101", "resnet152")

ARTEFACTS = (
    Artefact("table1", "ImageNet's networks, stage by stage"),
    Artefact(
        "table2",
        "plain against residual on ImageNet, 18 and 34 layers",
        _studies("plain18", "plain34", "resnet18", "resnet34", views="10-crop"),
    ),
    Artefact(
        "table3",
        "10-crop errors on ImageNet: options A, B and C, deeper networks",
        (
            *_studies("plain34", "resnet34", views="10-crop"),
            _option("B", "10-crop"),
            _option("C", "10-crop"),
            *_studies(*_DEEP, views="10-crop"),
        ),
    ),
    Artefact(
        "table4",
        "multi-scale errors of single networks on ImageNet",
        (
            _option("B", "multi-scale"),
            _option("C", "multi-scale"),
            *_studies(*_DEEP, views="multi-scale"),
        ),
    ),
    Artefact(
        "table5",
        "an ensemble of six networks on ImageNet, two of them with 152 layers",
        (
            _option("B", "multi-scale"),
            _option("C", "multi-scale"),
            *_studies(*_DEEP, views="multi-scale"),
            Study("resnet152", views="multi-scale", first_seed=1),
        ),
    ),
    Artefact(
        "released",
        "1-crop errors on ImageNet: the authors' released models",
        _studies(*_DEEP, views="1-crop"),
    ),
    Artefact(
        "table6",
        "test errors on CIFAR-10",
        _studies(
            *_OF_CIFAR10,
            "highway19",
            "highway32",
        ),
    ),
    Artefact("table7", "Faster R-CNN on PASCAL VOC: VGG-16 against ResNet-101", by_hand=True),
    Artefact("table8", "Faster R-CNN on COCO: VGG-16 against ResNet-101", by_hand=True),
    Artefact("table9", "Faster R-CNN on COCO: improvements", by_hand=True),
    Artefact("table10", "PASCAL VOC 2007, class by class", by_hand=True),
    Artefact("table11", "PASCAL VOC 2012, class by class", by_hand=True),
    Artefact("table12", "detection on ImageNet DET", by_hand=True),
    Artefact("table13", "localization on ImageNet", by_hand=True),
    Artefact("table14", "localization on ImageNet: competing methods"),
    Artefact("shortcuts", "what projections cost in place of identity shortcuts"),
    Artefact("architecture", "CIFAR-10's networks (§4.2), stage by stage"),
    Artefact("figure1", "degradation: plain-20 and plain-56", _studies("plain20", "plain56")),
    Artefact("figure3", "VGG-19, plain-34 and ResNet-34, layer by layer"),
    Artefact(
        "figure4",
        "training on ImageNet, plain and residual",
        _studies("plain18", "plain34", "resnet18", "resnet34"),
    ),
    Artefact("figure5", "the building block and the bottleneck"),
    Artefact(
        "figure6",
        "training on CIFAR-10, plain and residual",
        _studies(
            "plain20",
            "plain32",
            "plain44",
            "plain56",
            *_OF_CIFAR10,
        ),
    ),
    Artefact(
        "figure7",
        "responses of the layers",
        _studies("plain20", "plain56", "resnet20", "resnet56", "resnet110", responses=True),
    ),
)


def find_artefacts(patterns: list[str]) -> list[Artefact]:
    """Return the artefacts whose names match one of the shell-style ``patterns``, in order.

    Raises:
        UserError: a pattern matches none.
    """
    names = [artefact.name for artefact in ARTEFACTS]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise unknown_name("table or figure", pattern, names)
    return [a for a in ARTEFACTS if any(fnmatch.fnmatch(a.name, p) for p in patterns)]
