"""What is timed: a step of training as a run takes it, a batch of testing as ``evaluate`` does."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import torch
from torch import Tensor

from deepres.data.cifar10 import load_sample
from deepres.data.transforms import per_pixel_mean
from deepres.execution import Execution
from deepres.models.classifier import Classifier
from deepres.models.create import build_empty, build_network
from deepres.models.fuse import can_fuse, compute_in_bf16, fuse_for_inference
from deepres.models.stages import StagedNetwork
from deepres.recipes import CifarRecipe, ImageNetRecipe
from deepres.recipes.schema import Precision
from deepres.runtime import keep_freed_memory, make_repeatable
from deepres.training.data_source import make_data_source
from deepres.training.optim import make_optimizer
from deepres.training.step import initial_network, make_step

Kind = Literal["training", "inference"]
Call = Callable[[], object]


@dataclass(frozen=True)
class Work:
    """A network's training or testing, on batches of a size."""

    kind: Kind
    network: str
    recipe: CifarRecipe | ImageNetRecipe | None
    """The network's; None: it has none, and is only tested."""
    batch: int
    """Images at a time."""
    precision: Precision = "fp32"

    @property
    def options(self) -> dict[str, Any]:
        """With which ``create_model`` makes the network."""
        return self.recipe.model_options() if self.recipe else {}

    @property
    def size(self) -> int:
        """The images' side in pixels."""
        return self.recipe.side if self.recipe else self.empty_network().input_size

    def empty_network(self) -> StagedNetwork:
        """Return the network without memory for its weights."""
        return build_empty(self.network, **self.options)

    def ready(self, device: torch.device) -> Call:
        """Return a function that does the work once, on ``device``, for one batch."""
        keep_freed_memory()
        make_repeatable(device)
        return _training(self, device) if self.kind == "training" else _inference(self, device)


def _training(work: Work, device: torch.device) -> Call:
    """CIFAR-10's batches are made as in a run. ImageNet's would come from files: one stands in."""
    assert work.recipe is not None
    recipe = dataclasses.replace(work.recipe, batch_size=work.batch, precision=work.precision)
    of_cifar = isinstance(recipe, CifarRecipe)
    network = initial_network(recipe, 10 if of_cifar else 1000, seed=0)
    network.train().to(device).to(memory_format=torch.channels_last)
    optimizer, here = make_optimizer(network, recipe), Execution(device, workers=0)
    if of_cifar:
        batches = make_data_source(load_sample(), recipe, 0, here).batches
        step = make_step(network, optimizer, batches.prepare, recipe, here)
        steps = count()
        return lambda: step(*batches.take(next(steps)))
    images = torch.randn(work.batch, 3, work.size, work.size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(1000, (work.batch,), device=device)
    step = make_step(network, optimizer, as_they_are, recipe, here)
    return lambda: step(images, labels)


def as_they_are(taken: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Return images and labels that are prepared already."""
    images, labels = taken
    return images, labels


def _inference(work: Work, device: torch.device) -> Call:
    network = build_network(work.network, **work.options)
    images = torch.randint(256, (work.batch, 3, work.size, work.size), dtype=torch.uint8)
    classifier = Classifier(network, per_pixel_mean(images), ()).eval().to(device)
    classifier.to(memory_format=torch.channels_last)
    images = images.to(device)
    if can_fuse(device):
        fuse_for_inference(network, device)
    if work.precision == "bf16":
        compute_in_bf16(network)

    @torch.inference_mode()
    def classify() -> Tensor:
        logits: Tensor = classifier(images)
        return logits.softmax(1)

    return classify
