"""The task of §3.4 and §4.2: a network learns to classify images."""

import math
import sys
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.errors import UserError
from deepres.evaluation.metrics import validate
from deepres.execution import Execution
from deepres.models.classifier import Classifier
from deepres.models.create import build_empty
from deepres.models.weights import save_weights
from deepres.recipes import ClassificationRecipe, ImageNetRecipe
from deepres.run_folder import Event, RunFolder
from deepres.training.data_source import make_data_source
from deepres.training.optim import make_optimizer, set_learning_rate
from deepres.training.step import initial_network, kernels, make_step, precision
from deepres.training.task import Task, described, last_whole_window, loss_and_error, of_split
from deepres.visible import visible

Data = Cifar10 | ImageFolder


class Classification(Task[ClassificationRecipe, Data]):
    """A classifier's training, and what its learning rate depends on besides the step.

    Args:
        recipe: how it is trained.
        data: what on.
        seed: of the initial weights and of all random draws.
        execution: where and how.
        mean: the mean image, where it is known from a checkpoint.
    """

    recipe_type = ClassificationRecipe
    command = "deepres train"
    measures = ("loss", "error")

    def __init__(
        self,
        recipe: ClassificationRecipe,
        data: Data,
        seed: int,
        execution: Execution,
        mean: Tensor | None = None,
    ) -> None:
        self.recipe, self.seed, self.execution = recipe, seed, execution
        self._fewest = _fewest_images_of_a_part(recipe, execution)
        network = initial_network(recipe, len(data.classes), seed)
        self._source = source = make_data_source(data, recipe, seed, execution, mean)
        self._file_times = data.state() if isinstance(data, ImageFolder) else {}
        if recipe.sync_batch_norm:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.classifier = Classifier(
            network, source.mean, source.classes, crop=source.crop, short_side=source.short_side
        )
        self.classifier.to(execution.device).to(memory_format=torch.channels_last)
        self.model = network
        self.optimizer = make_optimizer(network, recipe)
        self._step = make_step(network, self.optimizer, source.batches.prepare, recipe, execution)
        self.warming_up = recipe.warm_up_lr is not None
        self.plateaus = 0
        """How often the learning rate was dropped because the error stood still."""
        self.best_error_pct = math.inf
        self.evaluations_since_best = 0
        self.skipped = 0
        """How many images of this process were left out since the last log."""
        self._named: set[str] = set()
        """Lines on images that were left out, once said."""

    @classmethod
    def begin(
        cls,
        recipe: ClassificationRecipe,
        data: Data,
        seed: int,
        execution: Execution,
        weights: Path | None,
    ) -> Self:
        """Set up a run at step 0, from random weights.

        Raises:
            UserError: other weights are given, or recipe, data and execution do not fit.
        """
        if weights is not None:
            raise UserError(
                f"a classifier's run begins from random weights, not from {weights}; leave them out"
            )
        return cls(recipe, data, seed, execution)

    @classmethod
    def rebuild(
        cls,
        recipe: ClassificationRecipe,
        data: Data,
        meta: dict[str, Any],
        state: dict[str, Any],
        execution: Execution,
    ) -> Self:
        """Set up what a checkpoint's ``state`` will be loaded into."""
        return cls(recipe, data, meta["seed"], execution, state["task"]["mean"])

    @staticmethod
    def describe(data: Data) -> dict[str, Any]:
        """Return what recipe.json has on the data."""
        return {"data": described(data)}

    def step(self, step: int) -> Tensor:
        """Take the step; return the mean loss and the share of errors, (2,)."""
        lr = self.recipe.learning_rate(step, self.warming_up, self.plateaus)
        set_learning_rate(self.optimizer, lr)
        batches = self._source.batches
        taken = batches.take(step)
        self._note_left_out(batches.bad)
        if _smallest_part(len(taken[0]), self.recipe.accumulate) < self._fewest:
            raise UserError(
                f"of the batch of step {step + 1:,} a single image is left in a part, and BN takes "
                f"no variance of one value; mend the images that are left out, {batches.bad[-1]}"
            )
        return self._step(*taken)

    def _note_left_out(self, bad: list[str]) -> None:
        """Count the images that a batch lacks, and name each once; all processes speak."""
        self.skipped += len(bad)
        for line in dict.fromkeys(bad):
            if line not in self._named:
                self._named.add(line)
                print(visible(f"left out: {line}"), file=sys.stderr, flush=True)

    def log(self, step: int, window: Tensor) -> Event:
        """Return the window's loss and error, and end the warm-up if it is time (§4.2)."""
        event = loss_and_error(window)
        whole = step % self.recipe.log_every == 0
        if whole and event["error_pct"] < self.recipe.warm_up_until_error_pct:
            self.warming_up = False
        if skipped := self._skipped_by_all():
            event["skipped_images"] = skipped
        self.skipped = 0
        return event

    def _skipped_by_all(self) -> int:
        return int(self.execution.world.sum(torch.tensor(self.skipped)))

    def evaluate(self, step: int, folder: RunFolder) -> list[Event]:
        """Test on the sets that are watched, and at the last step on the test set."""
        source, world = self._source, self.execution.world
        world.broadcast_(self.classifier.buffers())  # each process has BN statistics of its own
        self.classifier.eval()
        last = step == self.recipe.steps
        due = source.eval_sets | {"test": source.test} if last else source.eval_sets
        events = []
        for split, images in due.items():
            found = validate(self.classifier, images, batch_size=source.test_batch, world=world)
            event = {
                "split": split,
                "loss": found.loss,
                "error_pct": found.error_pct,
                "top5_error_pct": found.top5_error_pct,
            }
            if left_out := len(images) - found.images:
                event["skipped_images"] = left_out
            events.append(event)
            if split in source.eval_sets and step % self.recipe.eval_every == 0:
                self.note_plateau(found.error_pct)
        self.classifier.train()
        return events

    def note_plateau(self, error_pct: float) -> None:
        """Drop the learning rate if evaluations in a row have brought no lower error."""
        self.evaluations_since_best += 1
        if error_pct < self.best_error_pct:
            self.best_error_pct, self.evaluations_since_best = error_pct, 0
        elif self.evaluations_since_best == self.recipe.lr_plateau:
            self.plateaus, self.evaluations_since_best = self.plateaus + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return what the learning rate depends on, the mean, and how many images were left out."""
        return {
            "warming_up": self.warming_up,
            "plateaus": self.plateaus,
            "best_error_pct": self.best_error_pct,
            "evaluations_since_best": self.evaluations_since_best,
            "mean": self.classifier.mean,
            "skipped": self._skipped_by_all(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` returned."""
        self.warming_up = state["warming_up"]
        self.plateaus = state["plateaus"]
        self.best_error_pct = state["best_error_pct"]
        self.evaluations_since_best = state["evaluations_since_best"]
        self.skipped = state["skipped"] if self.execution.world.leader else 0

    def provenance(self) -> dict[str, Any]:
        """Return in which precision and by which kernels it computes, and how old the files are."""
        return {
            "precision": precision(self.recipe, self.execution.device),
            "kernels": kernels(self.recipe, self.execution),
            **self._file_times,
        }

    def result(self, events: list[Event]) -> dict[str, Any]:
        """Return the final errors and losses."""
        test = of_split(events, "test")[-1]
        trained = last_whole_window(events, self.recipe.log_every)
        skipped = sum(each.get("skipped_images", 0) for each in of_split(events, "train"))
        return {
            "test_error_pct": test["error_pct"],
            "test_top5_error_pct": test["top5_error_pct"],
            "test_loss": test["loss"],
            "train_error_pct": trained["error_pct"],
            "train_loss": trained["loss"],
            "skipped_images": skipped,
            "skipped_test_images": test.get("skipped_images", 0),
        }

    def save_weights(self, path: Path, result: dict[str, Any]) -> None:
        """Write the classifier, with ``result`` in its metadata."""
        save_weights(path, self.classifier, result)

    def close(self) -> None:
        """End the processes that decode images."""
        self._source.batches.close()


def _fewest_images_of_a_part(recipe: ClassificationRecipe, execution: Execution) -> int:
    """Return how few images a part of a batch can have.

    Raises:
        UserError: the recipe's have fewer, or recipe and execution do not fit.
    """
    size, device = execution.world.size, execution.device
    if recipe.batch_size % (size * recipe.accumulate):
        raise UserError(
            f"batch_size={recipe.batch_size} cannot be shared evenly by {size} processes in "
            f"{recipe.accumulate} parts each; change one of the three"
        )
    if recipe.sync_batch_norm and device.type != "cuda":
        raise UserError(f"sync_batch_norm works on CUDA devices only, not on {device.type}")
    network = build_empty(recipe.model, **recipe.model_options())
    side = recipe.crop if isinstance(recipe, ImageNetRecipe) else network.input_size
    last_maps = network.feature_map(torch.empty(2, 3, side, side, device="meta"))
    fewest = 2 if last_maps[0, 0].numel() == 1 and not recipe.sync_batch_norm else 1
    if recipe.batch_size // (size * recipe.accumulate) < fewest:
        raise UserError(
            f"batch_size={recipe.batch_size} leaves a single image to a part, and BN takes no "
            f"variance of the one value that {recipe.model}'s last map has in crops of {side} "
            "pixels; take a larger batch or crop, or fewer parts and processes"
        )
    return fewest


def _smallest_part(images: int, parts: int) -> int:
    """Return how many images the smallest part of a batch has, as ``torch.chunk`` divides it."""
    size = -(-images // parts)
    return images - size * (-(-images // size) - 1)
