"""The task of appendix C: a network learns where the object of a given class is."""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import LocalizationData
from deepres.data.detection.localization_crops import CropBatches, Crops
from deepres.data.images import modification_times
from deepres.detection.localizer_file import build_localizer, save_localizer
from deepres.errors import UserError
from deepres.evaluation.detection.localization import (
    LEAST_OVERLAP,
    localization_error_pct,
    right_guesses,
)
from deepres.evaluation.detection.localizer_inference import locate
from deepres.execution import Execution
from deepres.recipes import LocalizationRecipe
from deepres.run_folder import Event, RunFolder
from deepres.runtime import derive_seed, initial_weights_of
from deepres.training.localization_start import load_classifier
from deepres.training.optim import make_optimizer, set_learning_rate
from deepres.training.task import Task, described, last_whole_window, of_split


class Localization(Task[LocalizationRecipe, LocalizationData]):
    """A localization network's training; its per-class layers are new, the others a classifier's.

    Args:
        recipe: how it is trained.
        data: what on.
        meta: what the network is built on: ``initial_weights`` and ``network``.
        seed: of the new layers and of all random draws.
        execution: where and how.
    """

    recipe_type = LocalizationRecipe
    command = "deepres localize train"
    measures = ("loss", "error")

    def __init__(
        self,
        recipe: LocalizationRecipe,
        data: LocalizationData,
        meta: dict[str, Any],
        seed: int,
        execution: Execution,
    ) -> None:
        self.recipe, self.data, self.seed, self.execution = recipe, data, seed, execution
        self._meta = meta
        world, device, size = execution.world, execution.device, recipe.batch_size
        if size % world.size:
            raise UserError(f"batch_size={size} cannot be shared evenly by {world.size} processes")
        made = meta["network"]
        mean, std = (torch.tensor(made[name]).view(3, 1, 1) for name in ("mean", "std"))
        with initial_weights_of(seed):
            localizer = build_localizer(made["architecture"], recipe, data.classes, mean, std)
        self.localizer = localizer.to(device).to(memory_format=torch.channels_last)
        self.model: nn.Module = localizer.network
        self._network = world.sharing_gradients(localizer.network, device)
        self.optimizer = make_optimizer(localizer.network, recipe)
        images = BoxedImages.of(data.train)
        self._batches = CropBatches(images, recipe, mean, std, seed, execution)

    @classmethod
    def begin(
        cls,
        recipe: LocalizationRecipe,
        data: LocalizationData,
        seed: int,
        execution: Execution,
        weights: Path | None,
    ) -> Self:
        """Set up a run at step 0, on the ``weights`` of the recipe's network for classification."""
        classifier, given = load_classifier(weights, recipe.model, data)
        architecture = classifier.network.architecture
        network = {
            "architecture": architecture,
            "mean": classifier.mean.mean((1, 2)).tolist(),
            "std": classifier.std.flatten().tolist(),
        }
        meta = {"initial_weights": given, "network": network}
        task = cls(recipe, data, meta, seed, execution)
        kept, known = task.localizer.network.network, classifier.network.state_dict()
        kept.load_state_dict({name: known[name] for name in kept.state_dict()})
        return task

    @classmethod
    def rebuild(
        cls,
        recipe: LocalizationRecipe,
        data: LocalizationData,
        meta: dict[str, Any],
        state: dict[str, Any],
        execution: Execution,
    ) -> Self:
        """Set up what a checkpoint's ``state`` will be loaded into."""
        built = {key: meta[key] for key in ("initial_weights", "network")}
        return cls(recipe, data, built, meta["seed"], execution)

    @staticmethod
    def describe(data: LocalizationData) -> dict[str, Any]:
        """Return what recipe.json has on the data."""
        return {"data": described(data)}

    @property
    def label(self) -> str:
        """What its bar is called."""
        return f"localize {self.recipe.model}"

    def step(self, step: int) -> Tensor:
        """Take the step; return the loss and the share of crops whose best box misses, (2,)."""
        set_learning_rate(self.optimizer, self.recipe.learning_rate(step))
        size = self.recipe.batch_size
        indices = range(size)[self.execution.world.shard(size)]
        seeds = [derive_seed(self.seed, "anchors", step, index) for index in indices]
        return training_step(self._network, self.optimizer, self._batches(step), seeds)

    def log(self, step: int, window: Tensor) -> Event:
        """Return the window's loss and error."""
        loss, error = (float(column.mean()) for column in window.unbind(1))
        return {"loss": loss, "error_pct": 100 * error}

    def evaluate(self, step: int, folder: RunFolder) -> list[Event]:
        """Locate the objects of the watched test images, at the last step of all."""
        last = step == self.recipe.steps
        dataset = self.data.test if last else self.data.test.spread(self.recipe.eval_images)
        images = BoxedImages.of(dataset)
        classes = images.classes[:, None]
        boxes = locate(self.localizer, images, classes, "single-scale", self.execution.quietly())
        right = right_guesses(classes + 1, boxes, [image.objects for image in dataset.images])
        error_pct = localization_error_pct(right, 1)
        return [{"split": "test", "error_pct": error_pct, "images": len(images)}]

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: model and optimizer are all that changes."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up nothing."""

    def meta(self) -> dict[str, Any]:
        """Return what the network is built on, and how."""
        return self._meta

    def provenance(self) -> dict[str, Any]:
        """Return how old the image files are."""
        paths = [*self.data.train.paths(), *self.data.test.paths()]
        return {"image_files": modification_times(paths)}

    def result(self, events: list[Event]) -> dict[str, Any]:
        """Return the final errors and loss, and the training boxes' mean."""
        trained = last_whole_window(events, self.recipe.log_every)
        return {
            "initial_weights": self._meta["initial_weights"],
            "test_error_pct": of_split(events, "test")[-1]["error_pct"],
            "train_error_pct": trained["error_pct"],
            "train_loss": trained["loss"],
            "mean_box": BoxedImages.of(self.data.train).mean_box().tolist(),
        }

    def save_weights(self, path: Path, result: dict[str, Any]) -> None:
        """Write the network, with ``result`` in its metadata."""
        architecture = self._meta["network"]["architecture"]
        save_localizer(path, self.localizer, architecture, self.recipe, result)

    def close(self) -> None:
        """End the processes that decode images."""
        self._batches.close()


def training_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, crops: Crops, seeds: list[int]
) -> Tensor:
    """Take one step of SGD.

    Args:
        network: a ``PerClassRPN``, or what shares its gradients.
        optimizer: of its parameters.
        crops: a process's share of the batch, on the device.
        seeds: from which each crop's sampled anchors are drawn.

    Returns:
        (2,): the loss, and the share of crops whose best box misses all of their objects; crops
        without an object do not count.
    """
    counts = crops.counts.tolist()
    losses, best = network(crops.images, crops.classes, crops.boxes.split(counts), seeds)
    loss = torch.stack(list(losses.values())).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    overlaps = box_iou(best, crops.boxes).cpu()  # of all crops with all boxes; few are wanted
    own = zip(overlaps, torch.arange(len(crops.boxes)).split(counts), strict=True)
    missed = [bool((row[indices] < LEAST_OVERLAP).all()) for row, indices in own if len(indices)]
    error = torch.tensor(missed or [False], device=loss.device).float().mean()
    return torch.stack([loss.detach(), error])
