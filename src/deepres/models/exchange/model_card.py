"""A model card: what a reader must know of weights, from what the run's folder and file say."""

from functools import partial
from pathlib import Path
from typing import Any

from deepres.files import read_json
from deepres.json_shape import misfit
from deepres.models.classifier import Classifier
from deepres.recipe_words import fields_in_words, length_in_words
from deepres.run_contents import FINE_TUNED_FROM, checked, misfit_of_evaluations, tested_on
from deepres.run_folder import EVALUATIONS, RunFolder

PAPER = "https://arxiv.org/abs/1512.03385"
USE = """```python
import deepres

classifier = deepres.load_model("hf:OWNER/NAME")  # uint8 images (N, 3, H, W) to logits
```

```sh
deepres predict hf:OWNER/NAME cat.jpg
```"""
DATASETS = {"CIFAR-10": "cifar10"}
"""What the hub calls the data that a run's recipe.json names."""
ERRORS = {
    "test_error_pct": "test error (%)",
    "test_top5_error_pct": "top-5 test error (%)",
    "half_precision_test_error_pct": "test error of these weights, in half precision (%)",
    "train_error_pct": "training error, last window (%)",
}
HARDWARE = ("hardware", "device", "precision", "processes", "torch", "python", "deepres", "commit")


def model_card(classifier: Classifier, source: Path, notes: dict[str, Any]) -> str:
    """Return the card, Markdown with the hub's header.

    Args:
        classifier: the network.
        source: the file with its weights; beside it are the files of the run, if it is of one.
        notes: what the file's own header says.

    Raises:
        UserError: the run's evaluations.json is damaged.
    """
    run, tests = RunFolder(source.parent), source.parent / EVALUATIONS
    meta = run.read_meta() if run.recipe.exists() else {}
    final = bool(meta) and source.name == run.weights.name  # others in the folder err differently
    result = (run.read_result() if final else None) or notes
    name = classifier.network.architecture["name"]
    data = meta.get("data", {}).get("source") or notes.get("data")
    parts = [
        _header(name, data),
        f"# {name}\n\nA network of [*Deep Residual Learning for Image Recognition*]({PAPER}) "
        "(He et al. 2015), as deepres has it.",
        USE,
        _section("Network", classifier.network.architecture),
        _section("Input", _input(classifier)),
    ]
    if origin := notes.get("imported"):
        parts.append(_section("Origin", origin))
    parts.append(_begun_from(meta.get("initial_weights") or notes.get("initial_weights")))
    if meta:
        recipe = {**meta["recipe"]}
        recipe["steps"] = notes.get("steps", recipe["steps"])  # the run may be being extended
        parts.append(_length(recipe))
        deviations = fields_in_words(meta["deviations"]) or "none: every value is the paper's"
        parts.append(f"**Deviations from the paper's recipe**: {deviations}.")
        parts.append(_section("Recipe", recipe))
        trained_on = {"seed": meta.get("seed"), **meta.get("data", {})}
        trained_on.pop("location", None)  # a path of the user's
        parts.append(_section("Data and seed", trained_on))
    if errors := {words: result[key] for key, words in ERRORS.items() if key in result}:
        parts.append(_section("Errors", errors))
    if final and tests.exists():
        kind = meta["recipe"]["kind"]
        noted = checked(tests, read_json(tests), partial(misfit_of_evaluations, kind=kind))
        parts += [_test(test) for test in noted if "members" not in test]
    provenance = result.get("provenance") or meta.get("provenance") or {}
    if made := {key: provenance[key] for key in HARDWARE if key in provenance}:
        if "training_s" in result:
            made["training time (s)"] = result["training_s"]
        parts.append(_section("Hardware and software", made))
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(name: str, data: str | None) -> str:
    lines = ["---", "library_name: deepres", "pipeline_tag: image-classification"]
    if dataset := DATASETS.get(data or ""):
        lines += ["datasets:", f"- {dataset}"]
    return "\n".join([*lines, "tags:", "- image-classification", f"- {name}", "---"])


def _input(classifier: Classifier) -> dict[str, Any]:
    mean = classifier.mean
    whole = mean.shape[1:] != (1, 1)
    return {
        "channels": "RGB, pixels in [0, 1]",
        "short side scaled to": classifier.short_side,
        "crop": classifier.crop,
        "mean image, on average" if whole else "mean": [round(v, 4) for v in _flat(mean)],
        "std": [round(v, 4) for v in classifier.std.flatten().tolist()],
        "classes": len(classifier.classes),
    }


def _flat(mean: Any) -> list[float]:
    values: list[float] = mean.mean((1, 2)).tolist()
    return values


def _begun_from(given: Any) -> str:
    """Say what a network was fine-tuned from; the path is the user's, the file's name is not."""
    if misfit(given, FINE_TUNED_FROM):  # none are noted, or a header is another's
        return ""
    new = f", but for {', '.join(given['new'])}, made anew" if given["new"] else ""
    return (
        "**Fine-tuned, by no recipe of the paper**: begun from the weights "
        f"{Path(given['file']).name} with SHA-256 {given['sha256']}{new}."
    )


def _length(recipe: dict[str, Any]) -> str:
    steps, whole = recipe["steps"], recipe.get("scaled_from")
    if whole in (None, steps):
        return ""
    length = length_in_words(steps, whole)
    return f"**Not of the paper's length**: {length}, but for deviations in proportion."


def _test(test: dict[str, Any]) -> str:
    errors: dict[str, Any] = {
        key: test[key] for key in ("top1_error_pct", "top5_error_pct") if key in test
    }
    where = tested_on(test["data"])  # a folder's path is the user's
    return _section(f"Errors, {test['views']} on {where}", errors)


def _section(title: str, values: dict[str, Any]) -> str:
    rows = [f"| {key} | {_cell(value)} |" for key, value in values.items() if value is not None]
    return "\n".join([f"## {title}", "", "| | |", "|---|---|", *rows])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        value = f"{value:.6g}"
    if isinstance(value, list | tuple):
        value = ", ".join(_cell(each) for each in value)
    return str(value).replace("|", "\\|").replace("\n", " ")
