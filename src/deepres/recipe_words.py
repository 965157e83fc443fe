"""Fields of a recipe for people: in words, or as ``--set`` takes them."""

from collections.abc import Mapping
from typing import Any

WORDS = {
    "batch_size": "batches of {}",
    "steps": "{} steps",
    "lr": "learning rate {}",
    "lr_drops": "rate drops after {} steps",
    "lr_divisor": "rate divided by {} at a drop",
    "momentum": "momentum {}",
    "weight_decay": "weight decay {}",
    "log_every": "logged every {} steps",
    "eval_every": "tested every {} steps",
    "holdout": "{} training images held out",
    "shortcut": "shortcuts of option {}",
    "stride_on": "strides in {} convolutions",
    "short_side": "shorter side {}",
    "crop": "crops of {}",
    "schedule": "{} training",
    "anchor_sizes": "anchors of {}",
    "proposals_train": "{} proposals in training",
    "proposals_test": "{} proposals in tests",
    "regions_sampled": "{} regions an image",
}
RANGES = frozenset({"short_side"})
"""Fields that hold the ends of a range, in recipes that have two."""


def fields_in_words(fields: Mapping[str, Any]) -> str:
    """Say which values some fields have: "learning rate 0.02, flip=false"."""
    return ", ".join(_in_words(field, value) for field, value in fields.items())


def length_in_words(steps: int, scaled_from: int | None) -> str:
    """Return how long a run is, and of which length its recipe is made: ``scaled_from``.

    A shortened run that was extended may have that length again.
    """
    words = f"{steps:,} steps"
    if scaled_from in (None, steps):
        return words
    return f"{words}, {'shortened' if steps < scaled_from else 'lengthened'} from {scaled_from:,}"


def _in_words(field: str, value: Any) -> str:
    several = list(value) if isinstance(value, list | tuple) else [value]
    if field not in WORDS or not several or value is None:
        return f"{field}={','.join(map(_as_set, several))}"
    *others, last = (f"{each:,}" if isinstance(each, int) else str(each) for each in several)
    joined = f"{', '.join(others)} {'to' if field in RANGES else 'and'} {last}" if others else last
    return WORDS[field].format(joined)


def _as_set(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
