"""The kinds of network that a file of weights can hold, and how its notes tell them apart."""

from typing import Any, Literal, NamedTuple

from deepres.json_shape import Number, Shape

WeightKind = Literal["classifier", "detector", "localizer", "rcnn"]

KIND = "kind"
"""Where a file notes its kind; files of earlier versions do not."""
DETECTOR, LOCALIZER = "detector", "localizer"
"""Under what a network is noted; a classifier's notes are not set apart."""
SIDE = Number(1, 1 << 14, whole=True)
ARCHITECTURE = {"name": str, "num_classes?": (Number(1, 1e6, whole=True), None)}
CLASSIFIER_NOTES: dict[str, Shape] = {
    "architecture": ARCHITECTURE,
    "classes": [str],
    "crop": SIDE,
    "short_side": SIDE,
}
LOCALIZER_NOTES: dict[str, Shape] = {"architecture": ARCHITECTURE, "recipe": dict, "classes": [str]}


class Held(NamedTuple):
    """A kind of network that a file may hold."""

    words: str
    commands: str
    """The commands that take it."""
    training: str
    """Which of them makes one."""
    under: str | None
    """Where it is noted."""
    notes: Shape
    """What is noted of it there."""


WEIGHT_KINDS: dict[WeightKind, Held] = {
    "classifier": Held("a classifier", "deepres", "train", None, CLASSIFIER_NOTES),
    "detector": Held(
        "a detector",
        "deepres detect",
        "train",
        DETECTOR,
        {"architecture": ARCHITECTURE, "settings": dict, "classes": [str]},
    ),
    "localizer": Held(
        "a localization network", "deepres localize", "train", LOCALIZER, LOCALIZER_NOTES
    ),
    "rcnn": Held(
        "a localization network's R-CNN",
        "deepres localize",
        "train --rpn RUN",
        LOCALIZER,
        {**LOCALIZER_NOTES, "rpn": LOCALIZER_NOTES},
    ),
}


def weight_kind(notes: dict[str, Any]) -> WeightKind | None:
    """Return what a file's notes are of; None: of nothing of deepres."""
    for kind in WEIGHT_KINDS:
        if notes.get(KIND) == kind:
            return kind
    if DETECTOR in notes:
        return "detector"
    if LOCALIZER in notes:
        is_rcnn = isinstance(notes[LOCALIZER], dict) and "rpn" in notes[LOCALIZER]
        return "rcnn" if is_rcnn else "localizer"
    return "classifier" if notes.keys() >= CLASSIFIER_NOTES.keys() else None
