"""What sets a run apart from the paper's run of its network, by the content of its recipe.json."""

from collections.abc import Mapping
from typing import Any

from deepres.errors import UserError
from deepres.kinds import KINDS
from deepres.recipe_words import fields_in_words
from deepres.recipes import LocalizationRecipe, recipe_from_dict
from deepres.report.published import CIFAR_STEPS, IMAGENET_STEPS

PAPERS_DATA = {
    **{name: kind.data for name, kind in KINDS.items() if kind.data},
    "voc07+12": "VOC 07+12",
    "voc07++12": "VOC 07++12",
    "coco": "COCO 2014 train",
    "coco-trainval": "COCO 2014 trainval",
    "imagenet-det": "ImageNet DET train + val1",
}
"""What recipe.json calls the training data of each of the paper's recipes, by the recipe's data set
(detection) or kind."""
IMAGENET_CLASSES = 1_000
TRAINING_IMAGES = {
    "VOC 07+12": 16_551,
    "VOC 07++12": 21_503,
    "COCO 2014 train": 82_783,
    "COCO 2014 trainval": 82_783 + 40_504,
}
"""How many images detectors are trained on, whole."""
NO_MATTER = frozenset({"scaled_from", "pretrained", "bad_boxes", "precision", "eval_images"})
"""Fields that set no run apart. ``scaled_from`` is told as the number of steps, and ``pretrained``
in words of its own; wrong boxes must be skipped on COCO, which has some of zero size; the
precision is part of the provenance; and ``eval_images`` is about tests on the way, which decide
nothing."""
ALSO_THE_PAPERS = frozenset({("shortcut", "resnet34"), ("global_context", "resnet101")})
"""Fields of a recipe that the paper varies itself, each with the network: Tables 3 and 9."""
BOTTLENECKS = ("resnet50", "resnet101", "resnet152")
"""The residual networks whose shortcuts are of option B by default."""
CLASSIFIERS_STEPS = {"cifar10": CIFAR_STEPS, "imagenet": IMAGENET_STEPS}
"""The length of the paper's runs, by kind of recipe."""


def papers_steps(meta: dict[str, Any]) -> int:
    """Return the length of the paper's run."""
    recipe = meta["recipe"]
    if scaled_from := recipe["scaled_from"]:
        return int(scaled_from)
    steps = int(recipe["steps"])
    extended = "steps" in meta["deviations"] and not recipe.get("pretrained")
    return CLASSIFIERS_STEPS.get(recipe["kind"], steps) if extended else steps


def usual_shortcut(model: str) -> str | None:
    """Return the option of a network's shortcuts in the paper, if nobody asks for another."""
    if not model.startswith("resnet"):
        return None
    return "B" if model in BOTTLENECKS else "A"


def has_foreign_data(meta: dict[str, Any]) -> bool:
    """Whether a run is trained on other data than the paper's."""
    papers = PAPERS_DATA.get(meta["recipe"].get("dataset", meta["recipe"]["kind"]))
    return bool(meta["data"]["source"] != papers)


def unlike_papers(meta: dict[str, Any], but: frozenset[str] = frozenset()) -> list[str]:
    """Say in what a run is not the paper's: in its start, length, recipe and data.

    Args:
        meta: what its recipe.json says.
        but: fields of the recipe of which nothing is said.
    """
    recipe, source = meta["recipe"], meta["data"]["source"]
    parts = []
    if recipe.get("pretrained"):
        given = meta.get("initial_weights", {}).get("sha256", "unknown")[:8]
        parts.append(f"fine-tuned from weights {given}…, by no recipe of the paper")
    own = own_fields(recipe, meta["deviations"], but)
    parts += [_own_length(recipe), own, *_own_start(meta)]
    if has_foreign_data(meta):
        embedded = recipe["kind"] == "cifar10" and "sample" in source
        parts.append("sample" if embedded else source)
    return parts


def own_fields(
    recipe: Mapping[str, Any], deviations: Mapping[str, Any], but: frozenset[str] = frozenset()
) -> str:
    """Say in which fields a recipe is not the paper's, but for some, and its length."""
    network = recipe["model"]
    return fields_in_words(
        {
            field: value
            for field, value in deviations.items()
            if field not in NO_MATTER | but
            and (field, network) not in ALSO_THE_PAPERS
            and (field, value) != ("shortcut", usual_shortcut(network))
            # How often it is tested or logged counts where that decides when the rate
            # changes: a test tells a plateau, a logged error ends the warm-up (§4.2).
            and (field != "eval_every" or recipe.get("lr_plateau"))
            and (field != "log_every" or recipe.get("warm_up_lr"))
            and (field != "steps" or not recipe["scaled_from"])  # that length is told
        }
    )


def _own_length(recipe: Mapping[str, Any]) -> str:
    """Say how long a recipe is, and the one that it was made of; nothing: it has that length."""
    steps, whole = recipe["steps"], recipe["scaled_from"]
    if whole in (None, steps):
        return ""
    return f"{steps:,} {'of' if steps < whole else 'instead of'} {whole:,} steps"


def _own_start(meta: Mapping[str, Any]) -> list[str]:
    """Say what is not the paper's in what a detector or a localizer is built on and learns from."""
    recipe = meta["recipe"]
    if KINDS[recipe["kind"]].is_classifier:
        return []
    network = meta["network"]["architecture"]
    parts = [_own_options(recipe["model"], network)]
    if recipe["kind"] == "detection":
        return [_own_weights(meta["initial_weights"], network), *parts, _few_images(meta["data"])]
    if recipe["kind"] == "localization-rcnn":
        unlike = _own_rpn(recipe["model"], meta["network"]["rpn"])
        parts.append(f"RPN ({unlike})" if unlike else "")
    return parts


def _own_weights(given: Mapping[str, Any] | None, network: Mapping[str, Any]) -> str:
    """Say which weights a detector began with."""
    if given is None:
        return "random initial weights"
    if given.get("source") == "detector":
        return "begun from a detector"
    classes = network["num_classes"]
    return "" if classes == IMAGENET_CLASSES else f"pre-trained on {classes} classes"


def _own_options(name: str, network: Mapping[str, Any]) -> str:
    """Say in which options a network is not the paper's; both borders of its max pool are."""
    usual = {"shortcut": usual_shortcut(name), "stride_on": "1x1"}
    found = {option: network.get(option, value) for option, value in usual.items()}
    return fields_in_words({key: value for key, value in found.items() if value != usual[key]})


def _few_images(data: Mapping[str, Any]) -> str:
    """Say on how many images a detector is trained, if these are not all of the paper's."""
    whole = data["images"] == TRAINING_IMAGES.get(data["source"], data["images"])
    return "" if whole else f"{data['images']:,} images of {data['source']}"


def _own_rpn(model: str, rpn: Mapping[str, Any]) -> str:
    """Say in what the RPN that proposes an R-CNN's regions is not the paper's."""
    try:
        recipe = recipe_from_dict(rpn["recipe"], LocalizationRecipe)
    except UserError:
        return "recipe of another version of deepres"
    network, fields = rpn["architecture"], recipe.to_dict()
    parts = [
        "" if network["name"] == model else str(network["name"]),
        _own_length(fields),
        own_fields(fields, recipe.deviations()),
        _own_options(network["name"], network),
    ]
    return ", ".join(filter(None, parts))
