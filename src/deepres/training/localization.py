"""The task of appendix C: a network learns where the object of a given class is."""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import LocalizationData
from deepres.data.detection.localization_crops import BoxedCrops, CropBatches
from deepres.detection.localizer_file import build_localizer, save_localizer
from deepres.evaluation.detection.localization import LEAST_OVERLAP
from deepres.evaluation.detection.localizer_inference import locate
from deepres.execution import Execution
from deepres.recipes import LocalizationRecipe
from deepres.runtime import derive_seed, initial_weights_of
from deepres.training.localization_start import initial_classifier
from deepres.training.localizing import VIEWS, LocalizingTask, check_share, described_with_test
from deepres.training.optim import make_optimizer, set_learning_rate
from deepres.training.small_images import check_sizes


class Localization(LocalizingTask[LocalizationRecipe, LocalizationData]):
    """A localization network's training; its per-class layers are new, the others a classifier's.

    Args:
        recipe: how it is trained.
        data: what on.
        meta: what the network is built on: ``initial_weights`` and ``network``.
        seed: of the new layers and of all random draws.
        execution: where and how.
    """

    recipe_type = LocalizationRecipe
    data_types = (LocalizationData,)

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
        world, device = execution.world, execution.device
        check_share(recipe, world)
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
        classifier, given = initial_classifier(weights, recipe.model, data)
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
        saved: dict[str, Any],
        execution: Execution,
    ) -> Self:
        """Set up what a checkpoint, ``saved``, will be loaded into."""
        built = {key: meta[key] for key in ("initial_weights", "network")}
        return cls(recipe, data, built, meta["seed"], execution)

    @classmethod
    def check_learnable(cls, recipe: LocalizationRecipe, data: LocalizationData) -> None:
        """Make sure that the images suit the recipe."""
        check_sizes(data, recipe)

    @staticmethod
    def describe(data: LocalizationData) -> dict[str, Any]:
        """Return what recipe.json has on the data."""
        return {"data": described_with_test(data)}

    def step(self, step: int) -> Tensor:
        """Take the step; return the loss and the share of crops whose best box misses, (2,)."""
        set_learning_rate(self.optimizer, self.recipe.learning_rate(step))
        size = self.recipe.batch_size
        indices = range(size)[self.execution.world.shard(size)]
        seeds = [derive_seed(self.seed, "anchors", step, index) for index in indices]
        return rpn_step(self._network, self.optimizer, self._batches(step), seeds)

    def locate(self, images: BoxedImages, classes: Tensor, execution: Execution) -> Tensor:
        """Return the best box of each image for each of its ``classes``, (N, K, 4) in pixels."""
        return locate(self.localizer, images, classes, VIEWS, execution)

    def save_weights(self, path: Path, result: dict[str, Any]) -> None:
        """Write the network, with ``result`` in its metadata."""
        architecture = self._meta["network"]["architecture"]
        save_localizer(path, self.localizer, architecture, self.recipe, result)

    def close(self) -> None:
        """End the processes that decode images."""
        self._batches.close()


def rpn_step(
    network: nn.Module, optimizer: torch.optim.Optimizer, crops: BoxedCrops, seeds: list[int]
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
