"""What sets a run apart from the paper's run of its network, by the content of its recipe.json."""

from typing import Any

from deepres.kinds import KINDS
from deepres.recipe_words import fields_in_words
from deepres.report.published import CIFAR_STEPS, IMAGENET_STEPS

PAPERS_DATA = {
    **{name: kind.data for name, kind in KINDS.items() if kind.data},
    **{"voc07+12": "VOC 07+12", "voc07++12": "VOC 07++12", "coco": "COCO 2014 train"},
    **{"coco-trainval": "COCO 2014 trainval", "imagenet-det": "ImageNet DET train + val1"},
}
"""What recipe.json calls the training data of each of the paper's recipes, by the recipe's data set
(detection) or kind."""
IMAGENET_CLASSES = 1_000
TRAINING_IMAGES = {
    **{"VOC 07+12": 16_551, "VOC 07++12": 21_503},
    **{"COCO 2014 train": 82_783, "COCO 2014 trainval": 82_783 + 40_504},
}
"""How many images detectors are trained on, whole."""
NO_MATTER = frozenset({"scaled_from", "pretrained", "bad_boxes", "precision", "eval_images"})
"""Fields that set no run apart: the first is told as steps, the second in words; the third the
published annotations demand, for COCO has boxes of zero size; the fourth the provenance tells; the
last is of tests on the way, which decide nothing."""
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


def differences(meta: dict[str, Any], but: frozenset[str] = frozenset()) -> list[str]:
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
    if recipe["scaled_from"]:
        steps, papers = recipe["steps"], papers_steps(meta)
        parts.append(f"{steps:,} {'of' if steps < papers else 'instead of'} {papers:,} steps")
    parts += [own_fields(meta, but), *_own_start(meta)]
    if has_foreign_data(meta):
        embedded = recipe["kind"] == "cifar10" and "sample" in source
        parts.append("sample" if embedded else source)
    return parts


def own_fields(meta: dict[str, Any], but: frozenset[str] = frozenset()) -> str:
    """Say in which fields a recipe is not the paper's, but for some, and its length."""
    recipe = meta["recipe"]
    return fields_in_words(
        {
            field: value
            for field, value in meta["deviations"].items()
            if field not in NO_MATTER | but
            and (field, recipe["model"]) not in ALSO_THE_PAPERS
            and (field, value) != ("shortcut", usual_shortcut(recipe["model"]))
            # How often it is tested or logged counts where that decides when the rate
            # changes: a test tells a plateau, a logged error ends the warm-up (§4.2).
            and (field != "eval_every" or recipe.get("lr_plateau"))
            and (field != "log_every" or recipe.get("warm_up_lr"))
            and (field != "steps" or not recipe["scaled_from"])  # that length is told
        }
    )


def _own_start(meta: dict[str, Any]) -> list[str]:
    """Say what a detector starts from and how many images it sees, if not the paper's."""
    if meta["recipe"]["kind"] != "detection":
        return []
    parts = []
    given = meta["initial_weights"]
    if given is None:
        parts.append("random initial weights")
    elif given.get("source") == "detector":
        parts.append("begun from a detector")
    elif (classes := meta["network"]["architecture"]["num_classes"]) != IMAGENET_CLASSES:
        parts.append(f"pre-trained on {classes} classes")
    data = meta["data"]
    if data["images"] != TRAINING_IMAGES.get(data["source"], data["images"]):
        parts.append(f"{data['images']:,} images of {data['source']}")
    return parts
