"""A finished run, opened with the data that it saw, to be looked into."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deepres.data.cifar10 import Cifar10
from deepres.execution import Execution
from deepres.models import Classifier
from deepres.models.weights import load_with_notes
from deepres.recipes import ClassificationRecipe, recipe_from_dict
from deepres.run_folder import RunFolder
from deepres.training.classification import Classification, Data
from deepres.training.data_source import DataSource, Preparation, make_data_source
from deepres.training.same_data import check_same_data


@dataclass(frozen=True)
class TrainedRun:
    """A run's weights, and what they were trained with."""

    path: Path
    classifier: Classifier
    notes: dict[str, Any]
    """What its training noted with the weights: its result, as a rule."""
    recipe: ClassificationRecipe
    seed: int
    processes: int
    """How many shared each batch at the end of its training."""
    data: Data

    @property
    def steps(self) -> int:
        """After how many steps the weights are, of a run that is being extended its old ones."""
        return int(self.notes.get("steps", self.recipe.steps))

    @property
    def batch_norm_parts(self) -> int:
        """In how many parts of a batch, each by itself, BN took its statistics in training."""
        shared = 1 if self.recipe.sync_batch_norm else self.processes
        return shared * self.recipe.accumulate

    def data_source(
        self,
        execution: Execution,
        *,
        data: Data | None = None,
        recipe: ClassificationRecipe | None = None,
    ) -> DataSource:
        """Return what the run's data give to its recipe, or others, now in this process alone."""
        preparation = Preparation(self.classifier.mean.cpu(), self.classifier.std.cpu())
        given = (data or self.data, recipe or self.recipe, self.seed)
        return make_data_source(*given, execution.alone(), preparation)


def trained_run(path: Path, data: Data, device: torch.device) -> TrainedRun:
    """Load the final weights of the run in the folder ``path``.

    Args:
        path: the run's folder.
        data: the data that it began with.
        device: where the weights are put.

    Raises:
        UserError: there is no such run, it is not finished, or it had other data.
    """
    classifier, notes = load_with_notes(path, device)
    meta = RunFolder(path).read_meta()
    check_same_data(path, meta, Classification.describe(data))
    recipe = recipe_from_dict(meta["recipe"], ClassificationRecipe, path)
    way = [meta["provenance"], *meta.get("resumed", [])][-1]
    processes = way.get("processes", 1)  # older runs noted none
    return TrainedRun(path, classifier, notes, recipe, meta["seed"], processes, data)


def with_few_test_images(data: Data, count: int) -> Data:
    """Return ``data`` with no more than ``count`` test images, of all classes.

    CIFAR-10's are in mixed order, so these are the first; a folder's go by class, so these are
    evenly spread.
    """
    if isinstance(data, Cifar10):
        return dataclasses.replace(data, test=data.test.subset(slice(count)))
    return dataclasses.replace(data, test=data.test.spread(count))
