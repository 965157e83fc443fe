"""One step of SGD: forward, backward, update. All of it happens on the device.

It is taken as plainly as PyTorch has it, or the fast ways: with fused kernels, in bfloat16, as one
CUDA graph, its blocks computed twice.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from deepres.execution import Execution, say_nothing
from deepres.models.batch_norm import fuse_batch_norm, fused_by
from deepres.models.create import build_empty, build_network
from deepres.models.stages import StagedNetwork
from deepres.recipes import ClassificationRecipe
from deepres.run_folder import Event
from deepres.runtime import initial_weights_of, resolve_precision
from deepres.training.activation_checkpointing import checkpoint_blocks
from deepres.training.cuda_graph import GraphedStep
from deepres.training.mixed_precision import InBf16

WHOLE_LAYERS = "Triton, whole layers"
"""Kernels that convolve, too."""


def classifier_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    accumulate: int = 1,
) -> Tensor:
    """Take one step of SGD; return the batch's mean loss and its share of errors, (2,).

    Nothing in it waits for the host, so that a CUDA graph can record it. ``images`` are prepared,
    (B, C, H, W) float32; ``labels`` (B,) int64. The gradient is the mean over the batch, of all
    processes together, however many parts, ``accumulate``, it is computed in.
    """
    optimizer.zero_grad()
    parts = list(zip(images.chunk(accumulate), labels.chunk(accumulate), strict=True))
    outcomes = []
    for i, (part, part_labels) in enumerate(parts, start=1):
        with gradients_stay_here(network, i < len(parts)):
            logits = network(part).float()  # (B / parts, classes)
            loss = F.cross_entropy(logits, part_labels, reduction="sum")
            (loss / len(labels)).backward()
        errors = (logits.argmax(1) != part_labels).sum()
        outcomes.append(torch.stack([loss.detach(), errors]))
    optimizer.step()
    return torch.stack(outcomes).sum(0) / len(labels)


def loss_and_error(window: Tensor) -> Event:
    """Return the means of a log window (steps, 2) of losses and shares of errors."""
    loss, error = (float(column.mean()) for column in window.unbind(1))
    return {"loss": loss, "error_pct": 100 * error}


def gradients_stay_here(network: nn.Module, more_to_come: bool) -> AbstractContextManager[None]:
    """Keep the processes from sharing gradients before the last part of a batch."""
    if more_to_come and isinstance(network, DistributedDataParallel):
        keeping: AbstractContextManager[None] = network.no_sync()
        return keeping
    return nullcontext()


def initial_network(recipe: ClassificationRecipe, num_classes: int, seed: int) -> StagedNetwork:
    """Build the recipe's network with the initial weights of ``seed``, the same on any device."""
    with initial_weights_of(seed):
        return build_network(recipe.model, num_classes=num_classes, **recipe.model_options())


def make_step(
    network: StagedNetwork,
    optimizer: torch.optim.SGD,
    prepare: Callable[[tuple[Tensor, ...]], tuple[Tensor, Tensor]],
    recipe: ClassificationRecipe,
    execution: Execution,
) -> Callable[..., Tensor]:
    """Return what takes a training step, the fast way where there is one.

    It takes what ``prepare`` makes images and labels of, and returns what ``classifier_step`` does.
    ``network`` may be changed in how it computes, not in what.
    """
    device, world, fused = execution.device, execution.world, execution.fused_kernels
    found = kernels(recipe, execution, execution.say)
    if fused:
        fuse_batch_norm(network)
    if execution.recompute:
        checkpoint_blocks(network)
    computing: nn.Module = network
    if found == WHOLE_LAYERS:
        from deepres.models.fused_cifar import FusedCifarNet  # Triton is not everywhere

        computing = FusedCifarNet(network)
    elif precision(recipe, device) == "bf16":
        computing = InBf16(network)
    computing = world.sharing_gradients(computing, device)

    def step(*taken: Tensor) -> Tensor:
        images, labels = prepare(taken)
        return classifier_step(computing, optimizer, images, labels, recipe.accumulate)

    if not fused or device.type != "cuda" or world.size > 1:
        return step
    momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
    return GraphedStep(step, [*network.state_dict().values(), *momenta])


def precision(recipe: ClassificationRecipe, device: torch.device) -> str:
    """Return in which precision a run computes on ``device``: bf16 where the hardware has it."""
    return resolve_precision(recipe.precision, device)


def computed_by(recipe: ClassificationRecipe, execution: Execution) -> dict[str, str]:
    """Return what provenance says of a run's arithmetic: its precision and its kernels."""
    device = execution.device
    return {"precision": precision(recipe, device), "kernels": kernels(recipe, execution)}


def kernels(
    recipe: ClassificationRecipe, execution: Execution, say: Callable[[str], None] = say_nothing
) -> str:
    """Return what a run's fused kernels are: Triton or C, or ``PyTorch: <why there are none>``.

    ``say`` receives a line if a GPU does without kernels that it should have had.
    """
    if not execution.fused_kernels:
        return "PyTorch: as asked"
    device = execution.device
    found = "PyTorch: synchronised over processes" if recipe.sync_batch_norm else fused_by(device)
    if found.startswith("PyTorch") and device.type == "cuda":
        why = found.removeprefix("PyTorch: ")
        say(f"no fused kernels: {why}; PyTorch's own kernels take their place")
    if found == "Triton" and _whole_layers_wanted(recipe, execution):
        trouble = _try_whole_layers(recipe, device)
        if trouble is None:
            return WHOLE_LAYERS
        say(f"no fused convolutions: {trouble}; cuDNN's convolutions take their place")
    return found


def _whole_layers_wanted(recipe: ClassificationRecipe, execution: Execution) -> bool:
    """Tell whether a run on CUDA has work for the kernels that convolve.

    Whether they run on its device is another question.
    """
    if not execution.fused_convolutions or execution.world.size > 1 or execution.recompute:
        return False
    if recipe.freeze is not None or precision(recipe, execution.device) != "bf16":
        return False
    from deepres.models.fused_cifar import supports  # Triton is not everywhere

    return supports(build_empty(recipe.model, **recipe.model_options()), recipe.side)


@cache
def _try_whole_layers(recipe: ClassificationRecipe, device: torch.device) -> str | None:
    """Return why the kernels that convolve do not run on ``device``: it may lack shared memory."""
    from deepres.models import fused_cifar  # Triton is not everywhere

    network = build_empty(recipe.model, **recipe.model_options()).to_empty(device=device)
    images = -(-recipe.batch_size // recipe.accumulate)
    return fused_cifar.trouble(network.to(memory_format=torch.channels_last), images)
