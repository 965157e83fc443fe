"""What the commands share that look into a finished run."""

from pathlib import Path
from typing import Any

import torch

from deepres.cli.terminal import open_data
from deepres.errors import UserError
from deepres.recipes import ClassificationRecipe, recipe_from_dict
from deepres.run_folder import RunFolder
from deepres.run_weights import weights_file
from deepres.training.begun_from import found_again
from deepres.training.trained_run import TrainedRun, trained_run


def open_run(path: Path, data_name: str | None, device: torch.device) -> TrainedRun:
    """Load the final weights of the run in the folder ``path``, and open its data.

    Args:
        path: the run's folder.
        data_name: as for ``--data``; None: where the run's data were.
        device: where the weights are put.

    Raises:
        UserError: there is no such run of a classifier, it is not finished, or its data are
            elsewhere.
    """
    weights_file(path)
    if not path.is_dir():
        raise UserError(f"{path} is not a run folder: its training images are not known")
    meta = RunFolder(path).read_meta()
    recipe = recipe_from_dict(meta["recipe"], ClassificationRecipe, path)
    data = open_data(data_name or meta["data"]["location"], recipe.kind)
    return trained_run(path, data, device)


def classifier_of(meta: dict[str, Any]) -> Path:
    """Return the classifier with which a run of localization began, from its recipe.json.

    Raises:
        UserError: it is gone, or another by now.
    """
    advice = "name what predicts the classes by --classifier"
    return found_again(meta["initial_weights"], advice=advice)
