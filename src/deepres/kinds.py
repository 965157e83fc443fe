"""The kinds of recipes: what each trains, on which of the paper's data, by which commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deepres.errors import UserError


@dataclass(frozen=True)
class Kind:
    """What all recipes of a kind have in common."""

    trains: str
    """What comes of a run, for people."""
    commands: str
    """What the commands for such runs begin with, before ``train``, ``evaluate`` and so on."""
    task: str
    """What trains it: a module of ``deepres.training``, and the class there."""
    data: str | None
    """What recipe.json calls the paper's training data; None: each data set has its own recipe."""
    part: str = ""
    """What a network becomes part of, for people; nothing: it classifies whole images itself."""

    @property
    def train(self) -> str:
        """The command that starts a run, and goes on with one."""
        return f"{self.commands} train"

    @property
    def is_classifier(self) -> bool:
        """Whether a network is trained to classify whole images."""
        return not self.part


KINDS = {
    "cifar10": Kind("a classifier", "deepres", "classification.Classification", "CIFAR-10"),
    "imagenet": Kind("a classifier", "deepres", "classification.Classification", "ImageNet"),
    "detection": Kind("a detector", "deepres detect", "detection.Detection", None, part="detector"),
    "localization": Kind(
        "a localization network",
        "deepres localize",
        "localization.Localization",
        "ImageNet train",
        part="localizer",
    ),
    "localization-rcnn": Kind(
        "a localization network's R-CNN",
        "deepres localize",
        "localization_rcnn.LocalizationRCNN",
        "ImageNet train",
        part="R-CNN localizer",
    ),
}
"""By the name that they have in recipe.json."""


def kind_of(recipe: Mapping[str, Any], whose: object = "the recipe") -> Kind:
    """Return the kind of a recipe.

    Args:
        recipe: as JSON has it.
        whose: what it is called, or the file that it is from.

    Raises:
        UserError: another version of deepres wrote it: this one knows no such kind.
    """
    name = str(recipe.get("kind", ""))
    if name not in KINDS:
        raise UserError(
            f"{whose} was written by another version of deepres: it is of kind {name!r}"
        )
    return KINDS[name]
