"""Training from Python: one call starts a run of any kind, one goes on with it."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from deepres.errors import UserError, given_path
from deepres.execution import Execution, check_execution
from deepres.kinds import KINDS
from deepres.pretrained import weights_for
from deepres.recipes import CLASSES, Recipe, recipe_from_dict
from deepres.run_folder import RunFolder
from deepres.training.run import NewRun, resume_together, train_together
from deepres.training.task import Task


def train(
    recipe: Recipe,
    run: str | Path,
    data: Any,
    *,
    weights: str | Path | None = None,
    seed: int = 0,
    execution: Execution | None = None,
) -> dict[str, Any]:
    """Train what ``recipe`` says and leave a run folder with its curves, weights and result.

    The outcome is a function of (recipe, data, weights, seed), to the bit on the same hardware,
    with the same versions, number of processes and settings of ``execution``.
    For that, PyTorch is made deterministic in this process, and glibc to keep freed memory.
    Processes that torchrun started share each batch; all of them make this call.

    Args:
        recipe: how; see ``get_recipe``, ``fine_tuning_recipe``, ``detection_recipe``,
            ``localization_recipe`` and ``localization_rcnn_recipe``.
        run: the folder to make.
        data: as the recipe wants them: CIFAR-10 or its sample, a folder of images,
            ``DetectionData``, ``LocalizationData`` or ``LocalizationRCNNData``.
        weights: of the classifier that is fine-tuned, or that a detector or a localization network
            is built on: a run's folder or a file, or by name, as ``create_model`` takes them; or of
            a detector, which gives another all but the layers of its classes.
        seed: of the initial weights and of all random draws.
        execution: where and how; by default ``Execution.on("auto")``.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: the folder holds a run already, or something does not fit.
        BadImage: a file cannot be decoded, and the recipe does not say to skip such.
        Interrupted: SIGINT, SIGTERM or SIGHUP; the state is saved, ``resume`` goes on.
        Diverged: the loss or a weight became NaN or infinite; the last good state is kept.
    """
    check_execution(execution)
    kind, folder = task_of(recipe), given_path(run, "the run's folder")
    here = execution or Execution.on()
    file = weights_for(recipe.model, weights, here.say) if weights is not None else None
    return train_together(kind, [NewRun(recipe, seed, folder, file)], data, here)[0]


def resume(
    run: str | Path,
    data: Any,
    *,
    steps: int | None = None,
    changes: Sequence[str] = (),
    execution: Execution | None = None,
) -> dict[str, Any]:
    """Go on with a run from its latest whole checkpoint, as if it had never stopped.

    Args:
        run: its folder.
        data: the same that it began with.
        steps: a new last step, to extend it; drops of the learning rate stay where they are.
        changes: what may change on the way: ``bad_images=skip`` or ``bad_images=fail``.
        execution: where and how; by default ``Execution.on("auto")``.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: there is no run, or the data are not those that it began with.
        BadImage: as in ``train``.
        Interrupted: as in ``train``.
        Diverged: as in ``train``.
    """
    check_execution(execution)
    folder = given_path(run, "the run's folder")
    kind = task_of(recipe_from_dict(RunFolder(folder).read_meta()["recipe"], Recipe))
    here = execution or Execution.on()
    return resume_together(kind, [folder], data, here, steps=steps, changes=changes)[0]


def task_of(recipe: Recipe) -> type[Task[Any, Any]]:
    """Return what a recipe trains.

    Raises:
        UserError: it is no recipe.
    """
    if not isinstance(recipe, CLASSES):
        raise UserError(
            f"expected a recipe, e.g. of deepres.get_recipe('resnet20'), got {recipe!r}"
        )
    module, name = KINDS[recipe.kind].task.split(".")
    # Imported only now: not everyone has the torchvision that detection needs.
    task: type[Task[Any, Any]] = getattr(import_module(f"deepres.training.{module}"), name)
    return task
