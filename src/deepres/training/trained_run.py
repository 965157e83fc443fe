"""A finished run, opened with the data that it saw, to be looked into."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.data.loading import number_of_workers
from deepres.distributed import ALONE
from deepres.models import Classifier, load_model
from deepres.recipes import CifarRecipe, ImageNetRecipe, classification_recipe_from_dict
from deepres.run_folder import RunFolder
from deepres.training.data_source import Feeding
from deepres.training.run import check_same_data


@dataclass(frozen=True)
class TrainedRun:
    """A run's weights, and what they were trained with."""

    path: Path
    classifier: Classifier
    recipe: CifarRecipe | ImageNetRecipe
    seed: int
    data: Cifar10 | ImageFolder

    def feeding(self, device: torch.device, workers: int | None) -> Feeding:
        """Return how the run takes its data, now in this process alone."""
        mean = self.classifier.mean.cpu()
        return Feeding(self.seed, device, ALONE, number_of_workers(workers), mean)


def trained_run(path: Path, data: Cifar10 | ImageFolder, device: torch.device) -> TrainedRun:
    """Load the final weights of the run in the folder ``path``.

    Args:
        path: the run's folder.
        data: the data that it began with.
        device: where the weights are put.

    Raises:
        UserError: there is no such run, it is not finished, or it had other data.
    """
    classifier = load_model(path, device)
    folder = RunFolder(path)
    check_same_data(folder, data)
    meta = folder.read_meta()
    recipe = classification_recipe_from_dict(meta["recipe"])
    return TrainedRun(path, classifier, recipe, meta["seed"], data)


def with_few_test_images(data: Cifar10 | ImageFolder, count: int) -> Cifar10 | ImageFolder:
    """Return ``data`` with no more than ``count`` test images, of all classes.

    CIFAR-10's are in mixed order, so these are the first; a folder's go by class, so these are
    evenly spread.
    """
    if isinstance(data, Cifar10):
        return dataclasses.replace(data, test=data.test.subset(slice(count)))
    return dataclasses.replace(data, test=data.test.spread(count))
