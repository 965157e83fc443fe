"""The loop that trains a classifier: one for every network and recipe."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from deepres.distributed import World
from deepres.evaluation.metrics import evaluate
from deepres.models.classifier import Classifier
from deepres.progress import Progress
from deepres.recipes import ClassificationRecipe
from deepres.run_folder import RunFolder
from deepres.training.feed import Feed
from deepres.training.interrupt import Interrupted, stop_on_signals
from deepres.training.optim import learning_rate, set_learning_rate
from deepres.training.state import TrainingState


@dataclass
class Training:
    """All that one run works with."""

    recipe: ClassificationRecipe
    classifier: Classifier
    network: nn.Module
    """The classifier's network, or what shares its gradients with the other processes."""
    state: TrainingState
    feed: Feed
    folder: RunFolder
    save_every_s: float
    world: World
    progress: Callable[[str, int, int], Progress]
    """Makes the bar for a label, the last step and the first."""
    logged_step: int = 0
    logged_seconds: float = 0.0
    """When the last log was, for what happened since then."""
    named: set[str] = field(default_factory=set)
    """Lines on images that were left out, once said."""


def run_steps(run: Training) -> None:
    """Train to the recipe's last step, logging, evaluating and saving on the way.

    Raises:
        Interrupted: a signal asked for a stop; the state is saved.
        Diverged: the loss or a weight is no longer finite.
    """
    recipe, state, world = run.recipe, run.state, run.world
    saved_at = time.monotonic()
    train_note = test_note = ""
    bar = run.progress(recipe.model, recipe.steps, state.step)

    with stop_on_signals() as stop, bar:
        state.skip_time()
        while state.step < recipe.steps:
            lr = learning_rate(recipe, state.step, state.warming_up, state.plateaus)
            set_learning_rate(state.optimizer, lr)
            images, labels = run.feed.batches(state.step)
            state.record(*training_step(run.network, state.optimizer, images, labels, recipe))
            note_left_out(run, run.feed.batches.bad)

            last = state.step == recipe.steps
            if last or state.step % recipe.log_every == 0:
                train_note = log_training(run)
            if last or state.step % recipe.eval_every == 0:
                test_note = log_evaluation(run, last)
            bar.update(state.step, train_note + test_note)

            save_due = time.monotonic() - saved_at >= run.save_every_s
            # A signal, or the hour to save, reaches the processes one by one; they act as one.
            signal_number, save = world.max(stop.signal_number, last or save_due)
            if signal_number or save:
                state.save(run.folder)
                saved_at = time.monotonic()
            if signal_number and not last:
                raise Interrupted(signal_number, state.step, run.folder.path)


def training_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    recipe: ClassificationRecipe,
) -> tuple[Tensor, Tensor]:
    """Take one step of SGD; return the batch's mean loss and its share of errors, on the device.

    ``images`` are prepared, (B, C, H, W) float32; ``labels`` (B,) int64. The gradient is the mean
    over the batch, of all processes together, however many parts it is computed in.
    """
    optimizer.zero_grad()
    loss_sum, errors = torch.zeros(2, device=images.device)
    parts = list(zip(images.chunk(recipe.accumulate), labels.chunk(recipe.accumulate), strict=True))
    for i, (part, part_labels) in enumerate(parts, start=1):
        with gradients_stay_here(network, i < len(parts)):
            bf16 = recipe.precision == "bf16"
            with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
                logits = network(part)  # (B / parts, classes)
            loss = F.cross_entropy(logits.float(), part_labels, reduction="sum")
            (loss / len(labels)).backward()
        loss_sum += loss.detach()
        errors += (logits.argmax(1) != part_labels).sum()
    optimizer.step()
    return loss_sum / len(labels), errors / len(labels)


def gradients_stay_here(network: nn.Module, more_to_come: bool) -> AbstractContextManager[None]:
    """Keep the processes from sharing gradients before the last part of a batch."""
    if more_to_come and isinstance(network, DistributedDataParallel):
        keeping: AbstractContextManager[None] = network.no_sync()
        return keeping
    return nullcontext()


def note_left_out(run: Training, bad: list[str]) -> None:
    """Count the images that a batch lacks, and name each the first time; all processes speak."""
    run.state.skipped += len(bad)
    for line in dict.fromkeys(bad):
        if line not in run.named:
            run.named.add(line)
            print(f"left out: {line}", file=sys.stderr, flush=True)


def log_training(run: Training) -> str:
    """Log the window that ends here, end the warm-up if it is time, and return a note."""
    recipe, state = run.recipe, run.state
    loss, error_pct = state.window()
    state.count_time()
    if state.step % recipe.log_every == 0 and error_pct < recipe.warm_up_until_error_pct:
        state.warming_up = False
    lr = state.optimizer.param_groups[0]["lr"]
    images = (state.step - run.logged_step) * recipe.batch_size
    event = {
        "step": state.step,
        "split": "train",
        "loss": loss,
        "error_pct": error_pct,
        "lr": lr,
        "images_per_s": images / (state.seconds - run.logged_seconds),
    }
    if skipped := state.skipped_by_all():
        event["skipped_images"] = skipped
    run.logged_step, run.logged_seconds, state.skipped = state.step, state.seconds, 0
    if run.world.leader:
        run.folder.append_event(event)
    return f"lr {lr:g}  error {error_pct:.1f} %"


def log_evaluation(run: Training, last: bool) -> str:
    """Evaluate what is watched, and at the last step the test set; return a note."""
    state, world = run.state, run.world
    state.count_time()
    world.take_leaders(run.classifier.buffers())  # each process has BN statistics of its own
    run.classifier.eval()
    due = run.feed.watched | {"test": run.feed.test} if last else run.feed.watched
    note = ""
    for split, images in due.items():
        evaluation = evaluate(run.classifier, images, world=world)
        if world.leader:
            event = {
                "step": state.step,
                "split": split,
                "loss": evaluation.loss,
                "error_pct": evaluation.error_pct,
                "top5_error_pct": evaluation.top5_error_pct,
            }
            if left_out := len(images) - evaluation.images:
                event["skipped_images"] = left_out
            run.folder.append_event(event)
        note += f"  {split} {evaluation.error_pct:.2f} %"
        if split in run.feed.watched and state.step % run.recipe.eval_every == 0:
            state.note_plateau(evaluation.error_pct, run.recipe.lr_plateau)
    run.classifier.train()
    state.skip_time()
    return note
