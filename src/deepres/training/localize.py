"""The loop that trains a localization network (appendix C)."""

from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import LocalizationData
from deepres.data.detection.localization_crops import CropBatches, Crops
from deepres.detection.localization import Localizer
from deepres.distributed import World
from deepres.evaluation.detection.localization import (
    LEAST_OVERLAP,
    localization_error_pct,
    right_guesses,
)
from deepres.evaluation.detection.localizer_inference import locate
from deepres.progress import Progress
from deepres.recipes.localization import LocalizationRecipe
from deepres.run_folder import RunFolder
from deepres.runtime import derive_seed
from deepres.training.beginning import SaveAndStop
from deepres.training.interrupt import stop_on_signals
from deepres.training.optim import RATE, set_learning_rate
from deepres.training.state import TrainingState

COMMAND = "deepres localize train"


@dataclass
class LocalizerTraining:
    """All that one run works with."""

    recipe: LocalizationRecipe
    localizer: Localizer
    network: nn.Module
    """The localizer's network, or what shares its gradients with the other processes."""
    state: TrainingState
    data: LocalizationData
    batches: CropBatches
    folder: RunFolder
    world: World
    device: torch.device
    seed: int
    workers: int
    save_every_s: float
    logged_step: int = 0
    logged_seconds: float = 0.0


def run_steps(run: LocalizerTraining) -> None:
    """Train to the recipe's last step, logging, evaluating and saving on the way.

    Raises:
        Interrupted: a signal asked for a stop; the state is saved.
        Diverged: the loss or a weight is no longer finite.
    """
    recipe, state, world = run.recipe, run.state, run.world
    train_note = test_note = ""
    bar = Progress(f"localize {recipe.model}", recipe.steps, state.step, shown=world.leader)
    with stop_on_signals() as stop, bar, closing(run.batches):
        save_and_stop = SaveAndStop(
            state, run.folder, run.save_every_s, stop, world, command=COMMAND
        )
        state.skip_time()
        while state.step < recipe.steps:
            set_learning_rate(state.optimizer, recipe.learning_rate(state.step))
            indices = range(recipe.batch_size)[world.shard(recipe.batch_size)]
            seeds = [derive_seed(run.seed, "anchors", state.step, place) for place in indices]
            crops = run.batches(state.step)
            state.record(training_step(run.network, state.optimizer, crops, seeds))

            last = state.step == recipe.steps
            if last or state.step % recipe.log_every == 0:
                train_note = _log_training(run)
            if last or state.step % recipe.eval_every == 0:
                test_note = _log_evaluation(run, last)
            bar.update(state.step, train_note + test_note)

            save_and_stop(last)


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


def _log_training(run: LocalizerTraining) -> str:
    """Log the window that ends here, and return a note."""
    state = run.state
    loss, error_pct = state.window()
    state.count_time()
    images = (state.step - run.logged_step) * run.recipe.batch_size
    lr = state.optimizer.param_groups[0][RATE]
    event = {
        "step": state.step,
        "split": "train",
        "loss": loss,
        "error_pct": error_pct,
        "lr": lr,
        "images_per_s": images / (state.seconds - run.logged_seconds),
    }
    run.logged_step, run.logged_seconds = state.step, state.seconds
    if run.world.leader:
        run.folder.append_event(event)
    return f"lr {lr:g}  loss {loss:.3f}  error {error_pct:.1f} %"


def _log_evaluation(run: LocalizerTraining, last: bool) -> str:
    """Locate the objects of the watched test images, at the last step of all; return a note."""
    run.state.count_time()
    dataset = run.data.test if last else run.data.test.spread(run.recipe.eval_images)
    images = BoxedImages.of(dataset)
    classes = images.classes[:, None]
    boxes = locate(
        run.localizer,
        images,
        classes,
        "dense",
        device=run.device,
        workers=run.workers,
        world=run.world,
    )
    right = right_guesses(classes + 1, boxes, [image.objects for image in dataset.images])
    error_pct = localization_error_pct(right, 1)
    if run.world.leader:
        event = {
            "step": run.state.step,
            "split": "test",
            "error_pct": error_pct,
            "images": len(images),
        }
        run.folder.append_event(event)
    run.state.skip_time()
    return f"  test {error_pct:.2f} %"
