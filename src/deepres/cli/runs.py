"""What the commands share that look into a run: its weights, and its data as it saw them."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from deepres.cli.terminal import open_data
from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.data.loading import default_workers
from deepres.distributed import ALONE
from deepres.errors import UserError
from deepres.models import Classifier, load_model
from deepres.recipes import CifarRecipe, ImageNetRecipe, recipe_from_dict
from deepres.run_folder import RunFolder
from deepres.training.feed import Feeding
from deepres.training.run import check_same_data


@dataclass(frozen=True)
class OpenRun:
    """A finished run, opened."""

    classifier: Classifier
    recipe: CifarRecipe | ImageNetRecipe
    seed: int
    data: Cifar10 | ImageFolder

    def feeding(self, device: torch.device, workers: int | None) -> Feeding:
        """Return how the run takes its data, now in this process alone."""
        workers = default_workers() if workers is None else workers
        return Feeding(self.seed, device, ALONE, workers, self.classifier.mean.cpu())


def open_run(path: Path, data_name: str | None, device: torch.device) -> OpenRun:
    """Load the final weights of the run in the folder ``path``, and open its data.

    Args:
        path: the run's folder.
        data_name: as for ``--data``; None: where the run's data were.
        device: where the weights are put.

    Raises:
        UserError: there is no such run, it is not finished, or its data are elsewhere.
    """
    classifier = load_model(path, device)
    if not path.is_dir():
        raise UserError(f"{path} is not a run folder: its training images are not known")
    folder = RunFolder(path)
    meta = folder.read_meta()
    recipe = recipe_from_dict(meta["recipe"])
    data = open_data(data_name or meta["data"]["location"], recipe.kind)
    check_same_data(folder, data)
    return OpenRun(classifier, recipe, meta["seed"], data)


def with_few_test_images(data: Cifar10 | ImageFolder, count: int) -> Cifar10 | ImageFolder:
    """Return ``data`` with no more than ``count`` test images, of all classes.

    CIFAR-10's are in mixed order, so these are the first; a folder's go by class, so these are
    evenly spread.
    """
    if isinstance(data, Cifar10):
        return dataclasses.replace(data, test=data.test.subset(slice(count)))
    every = max(1, len(data.test) // count)
    return dataclasses.replace(data, test=data.test.subset(slice(0, every * count, every)))
