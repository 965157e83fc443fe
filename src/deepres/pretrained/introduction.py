"""What weights are, in words: whose, of which ResNet, and what input they expect."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from deepres.errors import UserError, unknown_name
from deepres.files import check_readable
from deepres.json_shape import COUNT
from deepres.models.exchange.preparation import four_digits
from deepres.models.weight_checks import (
    INPUT_MEAN,
    INPUT_STD,
    building_from,
    check_dtypes,
    check_notes,
    take_preparation,
)
from deepres.models.weight_kinds import ARCHITECTURE, CLASSIFIER_NOTES
from deepres.models.weights import METADATA
from deepres.recipe_words import length_in_words
from deepres.run_folder import RunFolder
from deepres.run_weights import weights_file

STRIDES = {
    "1x1": "bottlenecks halve the map in their first 1×1, as in the paper",
    "3x3": "bottlenecks halve the map in the 3×3; the paper's do so in their first 1×1",
}
POOLS = {
    "pad": "the max pool pads a pixel",
    "ceil": "the max pool reaches over the border, as in the authors' released models",
}
NOTES = {
    **CLASSIFIER_NOTES,
    "architecture": {**ARCHITECTURE, "stride_on?": str, "pool?": str},
    "imported?": {"source": str, "file?": str},
    "steps?": COUNT,
}
"""The notes that are read here."""


def introduction(path: Path) -> list[str]:
    """Return some lines on a run's or a file's weights.

    Raises:
        UserError: there are no weights of a classifier, or the file is damaged.
    """
    file = weights_file(path)
    check_readable(file)
    try:
        with safe_open(file, framework="pt") as archive:
            meta = json.loads((archive.metadata() or {}).get(METADATA, "{}"))
            preparation = {name: archive.get_tensor(name) for name in (INPUT_MEAN, INPUT_STD)}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{file} is damaged; restore it from a copy, or remove it if it was fetched"
        ) from error
    check_notes(meta, NOTES, file)
    check_dtypes(preparation, file)
    mean, std = take_preparation(preparation, file)
    architecture = meta["architecture"]
    lines = [f"{architecture['name']}: {_whose(file, meta)}"]
    with building_from(file):
        traits = _traits(architecture)
    if traits:
        lines.append(f"network: {'; '.join(traits)}")
    crop, short_side = meta["crop"], meta["short_side"]
    size = f"{crop}×{crop}" if crop == short_side else f"short side {short_side}, crop {crop}"
    subtracted = "the mean" if mean.shape[1:] == (1, 1) else "the mean image, on average"
    divided = "" if bool((std == 1).all()) else f", then the std {four_digits(std)} divides"
    lines.append(
        f"input: {size}; of R, G, B in [0, 1] {subtracted} {four_digits(mean.mean((1, 2)))} is "
        f"subtracted{divided}"
    )
    return lines


def _whose(file: Path, meta: dict[str, Any]) -> str:
    if origin := meta.get("imported"):
        name = f", {origin['file']}" if "file" in origin else ""
        return f"weights of {origin['source']}{name}"
    folder = RunFolder(file.parent)
    if not folder.recipe.exists():
        return f"weights of {file}"
    described = folder.read_meta()
    recipe, result = described["recipe"], folder.read_result() or {}
    steps = meta.get("steps", recipe["steps"])  # the run may be being extended
    length = length_in_words(steps, recipe.get("scaled_from"))
    error = result.get("test_error_pct")
    tested = f"; test error {error:.2f} %" if error is not None else ""
    return f"the run {file.parent.name}: {length}, seed {described.get('seed', 0)}{tested}"


def _traits(architecture: dict[str, Any]) -> list[str]:
    traits = []
    if "shortcut" in architecture:
        traits.append(f"shortcuts of option {architecture['shortcut']}")
    for option, words in (("stride_on", STRIDES), ("pool", POOLS)):
        if (value := architecture.get(option)) is not None:
            if value not in words:
                raise unknown_name(option, value, words)
            traits.append(words[value])
    return traits
