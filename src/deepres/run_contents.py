"""What the JSON files of a run's folder must hold, so that whoever reads them can rely on it."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from deepres.errors import UserError, whole_number
from deepres.json_shape import COUNT, NUMBER, PERCENT, Number, Shape, misfit

LEVELS = 20
"""More than any file of a run has, of values inside values."""

SOME = Number(1, 2**53, whole=True)
SEED = Number(-(2**63), 2**63, whole=True)
PROVENANCE = {
    **dict.fromkeys(("deepres", "commit", "torch", "hardware"), str),
    "precision?": str,
    "runs_at_once?": SOME,
    "processes?": SOME,
}
META = {
    "recipe": {
        "kind": str,
        "model": str,
        "steps": COUNT,
        "scaled_from": (COUNT, None),
        "lr_drops": [COUNT],
        "phase_starts?": [COUNT],
        "batch_size": SOME,
        "accumulate?": SOME,
        "sync_batch_norm?": bool,
        "shortcut?": (str, None),
        "precision?": str,
    },
    "deviations": dict,
    "seed": SEED,
    "data": {
        "source": str,
        "location": (str, None),
        "fingerprint": str,
        "test_fingerprint?": str,
    },
    "provenance": PROVENANCE,
    "resumed?": [{"step": COUNT, **PROVENANCE}],
}
ORIGIN = {"file": str, "sha256": str}
FINE_TUNED_FROM = {**ORIGIN, "new": [str]}

EVENT = {
    "step": COUNT,
    "split": str,
    "*_pct": PERCENT,
    "loss*": (NUMBER, None),
    "images_per_s?": (NUMBER, None),
    "skipped_images?": COUNT,
}

RESULT = {
    "steps?": COUNT,
    "provenance": PROVENANCE,
    "training_s": Number(0, 1e12),
    "*_pct": PERCENT,
    "*_loss": (NUMBER, None),
}
ERRORS = dict.fromkeys(("test_error_pct", "train_error_pct"), PERCENT)

REFINEMENT, CONTEXT, MULTI_SCALE = "box refinement", "global context", "multi-scale"
"""What evaluations.json calls appendix B's improvements of detectors."""
DRAWN = [(PERCENT, None)]
TEST = {
    "images": COUNT,
    "fingerprint?": str,
    "provenance": dict,  # a server's answer is noted by hand
    **dict.fromkeys(("*_error_pct", "*map_pct", "*map_50_pct"), PERCENT),
    "improvements?": [str],
    "members?": [str],
    "class_views?": str,
    "resampled?": {"images": str, "*map_pct": DRAWN, "*map_50_pct": DRAWN},
}
TOP_5 = dict.fromkeys(("top1_error_pct", "top5_error_pct"), PERCENT)
BY_CLASS = {"class_errors_pct?": {"*": (PERCENT, None)}, "confusion?": [[COUNT]]}
"""Errors by class, and rows of how many images were taken for each class."""
LOCALIZED = {"set": str, "views": str, "classes": str, "classifier?": str, **TOP_5}


class Contents(NamedTuple):
    """What the files of a run hold because of its recipe's kind, besides what those of all do."""

    meta: dict[str, Shape]
    """recipe.json."""
    result: dict[str, Shape]
    """result.json."""
    test: dict[str, Shape]
    """An entry of evaluations.json."""


CLASSIFIER = Contents(
    meta={"initial_weights?": FINE_TUNED_FROM},
    result=ERRORS,
    test={"data": str, "views": str, **TOP_5, **BY_CLASS},
)
CONTENTS = {
    "cifar10": CLASSIFIER,
    "imagenet": CLASSIFIER,
    "detection": Contents(
        meta={
            "recipe": {"dataset": str, "global_context": bool},
            "data": {"images": COUNT},
            "test_data?": ({"source": str, "fingerprint": str}, None),
            "initial_weights": (ORIGIN, None),
            "network": {"architecture": {"num_classes": COUNT}},
        },
        result={},
        test={
            "set": str,
            "rule": str,
            "map_50_pct": PERCENT,
            "ap_pct?": {"*": (PERCENT, None)},
        },
    ),
    "localization": Contents(
        meta={
            "initial_weights": ORIGIN,
            "network": {"architecture": {"name": str}, "mean": [NUMBER], "std": [NUMBER]},
        },
        result=ERRORS,
        test=LOCALIZED,
    ),
    "localization-rcnn": Contents(
        meta={
            "initial_weights": ORIGIN,
            "rpn": ORIGIN,
            "network": {
                "architecture": {"name": str},
                "rpn": {"architecture": {"name": str}, "recipe": dict, "classes": [str]},
            },
        },
        result=ERRORS,
        test=LOCALIZED,
    ),
}
"""By kind of recipe."""

LAYERS = [(NUMBER, None)]
CURVES = {"*": {"recall": [PERCENT], "precision": [PERCENT], "ap_pct": PERCENT}}
"""By class."""
SIDE_FILES: dict[str, Shape] = {
    "responses.json": {"steps?": COUNT, "layers?": [str], "std": LAYERS},
    "signals.json": {"steps?": COUNT, "forward_std": LAYERS, "gradient_norm": LAYERS},
    "pr_curves.json": ({"test": str, "classes": CURVES}, CURVES),  # files of before name no test
}
"""What studies leave beside a run."""


def checked(name: object, content: Any, misfit_of: Callable[[Any], str]) -> Any:
    """Return the ``content`` of a file if it is what it should be.

    Args:
        name: of the file, or of what is in it.
        content: what it says.
        misfit_of: says where that is not what it should be.

    Raises:
        UserError: it is not.
    """
    deep = f"it is nested more than {LEVELS} deep" if _deeper_than(LEVELS, content) else ""
    if wrong := deep or misfit_of(content):
        raise UserError(f"{name} is not as deepres writes it: {wrong}; restore it from a copy")
    return content


def _deeper_than(levels: int, content: Any) -> bool:
    if not isinstance(content, dict | list):
        return False
    within = content.values() if isinstance(content, dict) else content
    return levels == 0 or any(_deeper_than(levels - 1, each) for each in within)


def tested_on(data: str) -> str:
    """Return what the images of a test are called, but for the path of their folder."""
    return re.sub(r"(images of ).*[/\\]", r"\1", data)


def seed_of(value: Any) -> int:
    """Return ``value`` as a run's seed.

    Raises:
        UserError: it is none that recipe.json can hold.
    """
    seed = whole_number(value, "the seed")
    if not SEED.holds(seed):
        raise UserError(f"the seed must be from -2^63 to 2^63, got {seed}")
    return seed


def misfit_of_meta(meta: Any) -> str:
    """Say where the content of a recipe.json is not what it should be; nothing: nowhere.

    What it holds because of its kind is only looked at if this version of deepres knows that.
    """
    if wrong := misfit(meta, META):
        return wrong
    contents = CONTENTS.get(meta["recipe"]["kind"])
    return misfit(meta, contents.meta) if contents else ""


def misfit_of_event(event: Any) -> str:
    """Say where a line of metrics.jsonl is not what it should be."""
    return misfit(event, EVENT)


def misfit_of_result(result: Any, kind: str) -> str:
    """Say where the content of a result.json is not what it should be, by kind of recipe."""
    return misfit(result, RESULT | CONTENTS[kind].result)


def misfit_of_evaluations(tests: Any, kind: str) -> str:
    """Say where the content of an evaluations.json is not what it should be, by kind of recipe."""
    return misfit(tests, [TEST | CONTENTS[kind].test])
