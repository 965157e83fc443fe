"""What a run works with, made from its recipe: network, optimizer, data and step."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.data.loading import number_of_workers
from deepres.distributed import World
from deepres.errors import UserError
from deepres.models.batch_norm import fuse_batch_norm, fused_by
from deepres.models.classifier import Classifier
from deepres.models.create import build_empty, create_model
from deepres.models.stages import StagedNetwork
from deepres.progress import Progress
from deepres.recipes import CifarRecipe, ImageNetRecipe
from deepres.run_folder import RunFolder
from deepres.runtime import has_native_bf16, keep_freed_memory, make_repeatable
from deepres.training.activation_checkpointing import checkpoint_blocks
from deepres.training.beginning import (
    SAVE_EVERY_S,
    check_save_every,
    initial_weights_of,
    sharing_gradients,
)
from deepres.training.classify import Training
from deepres.training.cuda_graph import GraphedStep
from deepres.training.data_source import Feeding, make_data_source
from deepres.training.mixed_precision import InBf16
from deepres.training.optim import make_optimizer
from deepres.training.state import TrainingState, identity
from deepres.training.step import training_step

WHOLE_LAYERS = "Triton, whole layers"
"""Kernels that convolve, too."""


@dataclass(frozen=True)
class How:
    """How runs are carried out: what they find does not depend on it, but for rounding."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``."""
    workers: int | None = None
    """How many processes decode image files; by default one a core, up to 8."""
    save_every_s: float = SAVE_EVERY_S
    """Seconds between checkpoints; a kill loses no more than that and an evaluation."""
    graph: bool = True
    """Whether a step has fused kernels, and on CUDA is one graph, or as plain as PyTorch has it."""
    recompute: bool = False
    """Whether blocks are computed again in the backward pass, to save memory."""
    say: Callable[[str], None] = print
    """Receives lines for the user."""
    progress: Callable[[str, int, int], Progress] | None = None
    """Makes a bar for a label, the last step and the first; by default one of its own."""
    fused_convolutions: bool = True
    """On CUDA, in bf16, whether §4.2's networks take one kernel a layer, of convolution and BN."""


def set_up(
    folder: Path,
    recipe: CifarRecipe | ImageNetRecipe,
    data: Cifar10 | ImageFolder,
    seed: int,
    how: How,
    world: World,
    device: torch.device,
    progress: Callable[[str, int, int], Progress],
    mean: Tensor | None = None,
) -> Training:
    """Set up a run at step 0.

    Raises:
        UserError: the recipe does not fit the data, the device or the number of processes.
        BadImage: a file cannot be decoded, and the recipe does not say to skip such.
    """
    _check(recipe, how, world, device)
    keep_freed_memory()
    make_repeatable(device)
    network = initial_network(recipe, len(data.classes), seed)
    feeding = Feeding(seed, device, world, number_of_workers(how.workers), mean)
    source = make_data_source(data, recipe, feeding)
    if recipe.sync_batch_norm:
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    classifier = Classifier(
        network, source.mean, source.classes, crop=source.crop, short_side=source.short_side
    )
    classifier.to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, recipe)
    return Training(
        recipe=recipe,
        classifier=classifier,
        step=make_step(network, optimizer, source.batches.prepare, recipe, how, world, device),
        state=TrainingState(
            *(classifier, optimizer, recipe.log_every, device, world), identity(recipe, seed)
        ),
        source=source,
        folder=RunFolder(folder),
        save_every_s=how.save_every_s,
        world=world,
        progress=progress,
    )


def initial_network(
    recipe: CifarRecipe | ImageNetRecipe, num_classes: int, seed: int
) -> StagedNetwork:
    """Build the recipe's network with the initial weights of ``seed``, the same on any device."""
    with initial_weights_of(seed):
        return create_model(recipe.model, num_classes=num_classes, **recipe.model_options())


def make_step(
    network: StagedNetwork,
    optimizer: torch.optim.SGD,
    prepare: Callable[[tuple[Tensor, ...]], tuple[Tensor, Tensor]],
    recipe: CifarRecipe | ImageNetRecipe,
    how: How,
    world: World,
    device: torch.device,
) -> Callable[..., Tensor]:
    """Return what takes a training step, the fast way where there is one.

    It takes what ``prepare`` makes images and labels of, and returns what ``training_step`` does.
    ``network`` may be changed in how it computes, not in what.
    """
    found = kernels(recipe, how, world, device)
    if found.startswith("PyTorch") and how.graph and device.type == "cuda":
        why = found.removeprefix("PyTorch: ")
        how.say(f"no fused kernels: {why}; PyTorch's own kernels take their place")
    if how.graph:
        fuse_batch_norm(network)
    if how.recompute:
        checkpoint_blocks(network)
    computing: nn.Module = network
    if found == WHOLE_LAYERS:
        from deepres.models.fused_cifar import FusedCifarNet  # Triton is not everywhere

        computing = FusedCifarNet(network)
    elif precision(recipe, device) == "bf16":
        computing = InBf16(network)
    if world.size > 1:
        computing = sharing_gradients(computing, device)

    def step(*taken: Tensor) -> Tensor:
        images, labels = prepare(taken)
        return training_step(computing, optimizer, images, labels, recipe.accumulate)

    if not how.graph or device.type != "cuda" or world.size > 1:
        return step
    momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
    return GraphedStep(step, [*network.state_dict().values(), *momenta])


def precision(recipe: CifarRecipe | ImageNetRecipe, device: torch.device) -> str:
    """Return in which precision a run computes on ``device``: bf16 where the hardware has it."""
    if recipe.precision == "auto":
        return "bf16" if has_native_bf16(device) else "fp32"
    return recipe.precision


def kernels(
    recipe: CifarRecipe | ImageNetRecipe, how: How, world: World, device: torch.device
) -> str:
    """Return what a run's fused kernels are: Triton or C, or ``PyTorch: <why there are none>``."""
    if not how.graph:
        return "PyTorch: as asked"
    if recipe.sync_batch_norm:
        return "PyTorch: synchronised over processes"
    found = fused_by(device)
    in_bf16 = precision(recipe, device) == "bf16"
    if found == "Triton" and in_bf16 and how.fused_convolutions and world.size == 1:
        from deepres.models.fused_cifar import supports  # Triton is not everywhere

        if supports(build_empty(recipe.model, **recipe.model_options())) and not how.recompute:
            return WHOLE_LAYERS
    return found


def _check(
    recipe: CifarRecipe | ImageNetRecipe, how: How, world: World, device: torch.device
) -> None:
    check_save_every(how.save_every_s)
    if recipe.batch_size % (world.size * recipe.accumulate):
        raise UserError(
            f"batch_size={recipe.batch_size} cannot be shared evenly by {world.size} processes in "
            f"{recipe.accumulate} parts each; change one of the three"
        )
    if recipe.sync_batch_norm and device.type != "cuda":
        raise UserError(f"sync_batch_norm works on CUDA devices only, not on {device.type}")
