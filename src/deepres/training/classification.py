"""The task of §3.4 and §4.2: a network learns to classify images."""

import sys
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from deepres.data.cifar10 import Cifar10
from deepres.data.described import described
from deepres.data.folder import ImageFolder
from deepres.errors import UserError
from deepres.evaluation.metrics import validate
from deepres.event_log import last_whole_window, of_split
from deepres.execution import Execution
from deepres.models.classifier import Classifier, check_labels
from deepres.models.weights import save_weights
from deepres.recipes import CifarRecipe, ClassificationRecipe, ImageNetRecipe
from deepres.run_folder import Event, RunFolder
from deepres.training.batch_parts import fewest_images_of_a_part, smallest_part
from deepres.training.begun_from import without_folders
from deepres.training.data_source import Preparation, make_data_source
from deepres.training.given_weights import frozen_modules, given_weights, in_words
from deepres.training.learning_rate import LearningRate
from deepres.training.optim import classifier_optimizer, set_learning_rate
from deepres.training.small_images import check_sizes
from deepres.training.step import computed_by, initial_network, loss_and_error, make_step
from deepres.training.task import Task
from deepres.visible import visible

Data = Cifar10 | ImageFolder


class Classification(Task[ClassificationRecipe, Data]):
    """A classifier's training.

    Args:
        recipe: how it is trained.
        data: what on.
        seed: of the initial weights and of all random draws.
        execution: where and how.
        preparation: the mean and the standard deviation of the input, where they are known.
        initial_weights: what recipe.json says of the weights that it begins from.
    """

    recipe_type = ClassificationRecipe
    data_types = (Cifar10, ImageFolder)
    measures = ("loss", "error")

    def __init__(
        self,
        recipe: ClassificationRecipe,
        data: Data,
        seed: int,
        execution: Execution,
        preparation: Preparation | None = None,
        initial_weights: dict[str, Any] | None = None,
    ) -> None:
        self.recipe, self.seed, self.execution = recipe, seed, execution
        self._initial_weights = initial_weights
        self._fewest = fewest_images_of_a_part(recipe, execution)
        network = initial_network(recipe, len(data.classes), seed)
        self._source = source = make_data_source(data, recipe, seed, execution, preparation)
        self._file_times = data.state() if isinstance(data, ImageFolder) else {}
        if recipe.sync_batch_norm:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self._frozen = frozen_modules(network, recipe.freeze)
        for module in self._frozen:
            module.requires_grad_(False)
        self.classifier = Classifier(
            network,
            source.mean,
            source.classes,
            std=source.std,
            crop=source.crop,
            short_side=source.short_side,
        )
        self.classifier.to(execution.device).to(memory_format=torch.channels_last)
        self.model = network
        new = initial_weights["new"] if initial_weights else []
        self.optimizer = classifier_optimizer(network, recipe, new)
        self._step = make_step(network, self.optimizer, source.batches.prepare, recipe, execution)
        self._learning_rate = LearningRate(recipe)
        self.skipped = 0
        """How many images of this process were left out since the last log."""
        self._named: set[str] = set()
        """Lines on images that were left out, once said."""
        self._learn()

    def _learn(self) -> None:
        """Have the network train, all but what is frozen: its BN keeps to its averages."""
        self.classifier.train()
        for module in self._frozen:
            module.eval()

    @classmethod
    def begin(
        cls,
        recipe: ClassificationRecipe,
        data: Data,
        seed: int,
        execution: Execution,
        weights: Path | None,
    ) -> Self:
        """Set up a run at step 0, from random weights, or to fine-tune given ones.

        Raises:
            UserError: the recipe is for random weights and others are given, or the reverse; or
                recipe, data, weights and execution do not fit.
        """
        if weights is None:
            if recipe.pretrained:
                raise UserError(
                    f"the recipe is for given weights of {recipe.model}; name them by --weights"
                )
            return cls(recipe, data, seed, execution)
        if not recipe.pretrained:
            raise UserError(
                f"the paper's recipe of {recipe.model} begins from random weights, not from "
                f"{weights}; leave them out, or take the recipe of deepres.fine_tuning_recipe"
            )
        given = given_weights(weights, recipe, data.classes)
        preparation = Preparation(given.mean, given.std)
        execution.say(in_words(given, recipe, seed))
        task = cls(recipe, data, seed, execution, preparation, given.noted)
        task.model.load_state_dict({**task.model.state_dict(), **given.tensors})
        return task

    @classmethod
    def rebuild(
        cls,
        recipe: ClassificationRecipe,
        data: Data,
        meta: dict[str, Any],
        saved: dict[str, Any],
        execution: Execution,
    ) -> Self:
        """Set up what a checkpoint, ``saved``, will be loaded into."""
        mean = saved["task"]["mean"]
        preparation = Preparation(mean, saved["task"].get("std"))
        given = meta.get("initial_weights")
        return cls(recipe, data, meta["seed"], execution, preparation, given)

    @classmethod
    def check_learnable(cls, recipe: ClassificationRecipe, data: Data) -> None:
        """Make sure that there are classes to tell apart, in images that suit the recipe."""
        if len(data.classes) < 2:
            raise UserError(
                f"{data.location} has a single class, {data.classes[0]}; there must be 2 or more "
                "to tell apart"
            )
        if isinstance(data, ImageFolder) and isinstance(recipe, ImageNetRecipe):
            check_sizes(data, recipe)
            for files in (data.train, data.test):
                check_labels(torch.tensor(files.labels), len(data.classes))
        if isinstance(data, Cifar10) and isinstance(recipe, CifarRecipe):
            data.split(recipe.holdout)

    @staticmethod
    def describe(data: Data) -> dict[str, Any]:
        """Return what recipe.json has on the data."""
        return {"data": {**described(data), "test_fingerprint": data.test.fingerprint()}}

    def step(self, step: int) -> Tensor:
        """Take the step; return the mean loss and the share of errors, (2,)."""
        set_learning_rate(self.optimizer, self._learning_rate.at(step))
        batches = self._source.batches
        taken = batches.take(step)
        self._note_left_out(batches.bad)
        if smallest_part(len(taken[0]), self.recipe.accumulate) < self._fewest:
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
        self._learning_rate.after_window(step, event["error_pct"])
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
                self._learning_rate.after_evaluation(found.error_pct)
        self._learn()
        return events

    def state_dict(self) -> dict[str, Any]:
        """Return what learning rate and input depend on, and how many images were left out."""
        return {
            **self._learning_rate.state_dict(),
            "mean": self.classifier.mean,
            "std": self.classifier.std,
            "skipped": self._skipped_by_all(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` returned."""
        self._learning_rate.load_state_dict(state)
        self.skipped = state["skipped"] if self.execution.world.leader else 0

    def meta(self) -> dict[str, Any]:
        """Return which weights it began from, if they were given."""
        return {"initial_weights": given} if (given := self._initial_weights) else {}

    def provenance(self) -> dict[str, Any]:
        """Return in which precision and by which kernels it computes, and how old the files are."""
        return computed_by(self.recipe, self.execution) | self._file_times

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
            **self.meta(),
        }

    def save_weights(self, path: Path, result: dict[str, Any]) -> None:
        """Write the classifier, with ``result`` in its metadata."""
        save_weights(path, self.classifier, without_folders(result))

    def close(self) -> None:
        """End the processes that decode images."""
        self._source.batches.close()
