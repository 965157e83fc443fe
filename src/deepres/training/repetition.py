"""Somebody's run again, as its recipe.json tells it, to the same bits on the same machine."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import torch

from deepres.errors import UserError
from deepres.execution import Execution
from deepres.models.weights import read_weights
from deepres.provenance import differences
from deepres.recipes import ClassificationRecipe, Recipe, recipe_from_dict
from deepres.run_folder import RunFolder, read_meta_file
from deepres.training.api import task_of
from deepres.training.begun_from import found_again
from deepres.training.run import NewRun, train_together
from deepres.training.same_data import check_same_data
from deepres.training.step import computed_by


class Original(NamedTuple):
    """A run that is to be repeated."""

    file: Path
    """Its recipe.json."""
    meta: dict[str, Any]
    """What that says."""
    recipe: Recipe
    """In the precision in which the run was computed, where it tells."""


def read_original(path: Path, kind: type[Recipe] = Recipe) -> Original:
    """Read a run's recipe.json, or that of the run in a folder.

    Args:
        path: the file or the folder.
        kind: the class of recipes that it must be of.

    Raises:
        UserError: it is missing, damaged, or of another kind.
    """
    file = RunFolder(path).recipe if path.is_dir() else path
    meta = read_meta_file(file)
    recipe: Recipe = recipe_from_dict(meta["recipe"], kind, file)
    precision = meta["provenance"].get("precision")
    if isinstance(recipe, ClassificationRecipe) and recipe.precision == "auto" and precision:
        recipe = recipe.changed([f"precision={precision}"])
    return Original(file, meta, recipe)


def as_it_was_computed(original: Original, execution: Execution) -> Execution:
    """Return an execution by the same kernels, where that is a choice; say what else is other."""
    kernels = original.meta["provenance"].get("kernels")
    if kernels == "PyTorch: as asked":
        execution = dataclasses.replace(execution, fused_kernels=False)
    elif kernels == "Triton":  # else it would be whole layers, where there are such
        execution = dataclasses.replace(execution, fused_convolutions=False)
    then, now = original.meta["provenance"], execution.provenance()
    if isinstance(original.recipe, ClassificationRecipe):
        now |= computed_by(original.recipe, execution)
    changed = differences(then, now)
    if others := [way for way in original.meta.get("resumed", []) if differences(then, way)]:
        changed.append(f"it went on in another way from step {others[0]['step']:,}")
    if changed:
        execution.say(f"not as {original.file} was, so the bits may differ: {'; '.join(changed)}")
    return execution


def repeat(
    original: Original,
    run: Path,
    data: Any,
    execution: Execution,
    *,
    weights: Path | None = None,
) -> dict[str, Any]:
    """Train what the original was trained for, and leave a run folder.

    Args:
        original: the run to repeat.
        run: the folder to make.
        data: the same that it began with.
        execution: where and how.
        weights: where those are now that it began from, if it began from any; None: where they
            were.

    Returns:
        The content of the new run's result.json.

    Raises:
        UserError: data or weights are others than the original's, or the folder holds a run.
    """
    meta, task = original.meta, task_of(original.recipe)
    task.check_data(data)
    check_same_data(original.file, meta, task.describe(data))
    noted = meta.get("initial_weights")
    if weights and not noted:
        raise UserError(f"{original.file} began from random weights; leave out {weights}")
    advice = "give the same by --weights"
    begun_from = noted and found_again(noted, weights, whose=original.file, advice=advice)
    recipe, seed = original.recipe, meta["seed"]
    execution.say(
        f"repeating {original.file}: {recipe.model}, {recipe.steps:,} steps, seed {seed}, into "
        f"{run}"
    )
    new = NewRun(recipe, seed, run, begun_from)
    return train_together(task, [new], data, as_it_was_computed(original, execution))[0]


def compared(original: Original, run: Path) -> str | None:
    """Say whether a run ended as the original; None: the original's weights are not at hand.

    Where those are kept in half precision, as in results/, the run's are rounded to it.
    """
    theirs, ours = RunFolder(original.file.parent).weights, RunFolder(run).weights
    if not theirs.exists():
        return None
    now, _ = read_weights(ours)
    try:
        then, _ = read_weights(theirs, as_kept=True)
    except UserError as error:  # the run itself is whole
        return f"not compared: {error}"
    same = then.keys() == now.keys() and all(
        torch.equal(kept, now[name].to(kept.dtype)) for name, kept in then.items()
    )
    rounded = any(kept.dtype == torch.half for kept in then.values())
    return (
        f"{'the same bits as' if same else 'not the same bits as'} {theirs}"
        f"{', which is kept in half precision' if rounded else ''}"
    )
