"""The loop that trains a classifier: one for every network and recipe."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepres.data.batches import Batches
from deepres.data.cifar10 import ImageSet
from deepres.evaluation.metrics import evaluate
from deepres.models.classifier import Classifier
from deepres.progress import Progress
from deepres.recipes.schema import Precision, Recipe
from deepres.run_folder import RunFolder
from deepres.training.interrupt import Interrupted, stop_on_signals
from deepres.training.optim import learning_rate, set_learning_rate
from deepres.training.state import TrainingState


@dataclass
class Training:
    """All that one run works with."""

    recipe: Recipe
    classifier: Classifier
    state: TrainingState
    batches: Batches
    watched: dict[str, ImageSet]
    """What is evaluated along the way: the test set, or the images held out for validation."""
    test: ImageSet
    folder: RunFolder
    save_every_s: float
    logged_step: int = 0
    logged_seconds: float = 0.0
    """When the last log was, for the speed since then."""


def run_steps(run: Training) -> None:
    """Train to the recipe's last step, logging, evaluating and saving on the way.

    Raises:
        Interrupted: a signal asked for a stop; the state is saved.
        Diverged: the loss or a weight is no longer finite.
    """
    recipe, state = run.recipe, run.state
    network, optimizer = run.classifier.network, state.optimizer
    saved_at = time.monotonic()
    train_note = test_note = ""

    with stop_on_signals() as stop, Progress(recipe.model, recipe.steps, state.step) as bar:
        state.skip_time()
        while state.step < recipe.steps:
            set_learning_rate(optimizer, learning_rate(recipe, state.step, state.warming_up))
            images, labels = run.batches(state.step)
            loss, errors = training_step(network, optimizer, images, labels, recipe.precision)
            state.record(loss, errors)

            last = state.step == recipe.steps
            if last or state.step % recipe.log_every == 0:
                train_note = log_training(run)
            if last or state.step % recipe.eval_every == 0:
                test_note = log_evaluation(run, last)
            bar.update(state.step, train_note + test_note)

            save_due = time.monotonic() - saved_at >= run.save_every_s
            if last or stop.signal_number or save_due:
                state.save(run.folder)
                saved_at = time.monotonic()
            if stop.signal_number and not last:
                raise Interrupted(stop.signal_number, state.step, run.folder.path)


def training_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    precision: Precision,
) -> tuple[Tensor, Tensor]:
    """Take one step of SGD; return the batch's mean loss and its number of errors, on the device.

    ``images`` are prepared, (B, 3, H, W) float32; ``labels`` (B,) int64.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits = network(images)  # (B, classes)
    loss = F.cross_entropy(logits.float(), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach(), (logits.argmax(1) != labels).sum()


def log_training(run: Training) -> str:
    """Log the window that ends here, end the warm-up if it is time, and return a note."""
    recipe, state = run.recipe, run.state
    loss, errors = state.window()
    state.count_time()
    error_pct = 100 * errors / recipe.batch_size
    if state.step % recipe.log_every == 0 and error_pct < recipe.warm_up_until_error_pct:
        state.warming_up = False
    lr = state.optimizer.param_groups[0]["lr"]
    images = (state.step - run.logged_step) * recipe.batch_size
    images_per_s = images / (state.seconds - run.logged_seconds)
    run.logged_step, run.logged_seconds = state.step, state.seconds
    run.folder.append_event(
        {
            "step": state.step,
            "split": "train",
            "loss": loss,
            "error_pct": error_pct,
            "lr": lr,
            "images_per_s": images_per_s,
        }
    )
    return f"lr {lr:g}  error {error_pct:.1f} %"


def log_evaluation(run: Training, last: bool) -> str:
    """Evaluate what is watched, and at the last step the test set; return a note."""
    run.state.count_time()
    run.classifier.eval()
    due = run.watched | {"test": run.test} if last else run.watched
    note = ""
    for split, images in due.items():
        evaluation = evaluate(run.classifier, images)
        run.folder.append_event(
            {
                "step": run.state.step,
                "split": split,
                "loss": evaluation.loss,
                "error_pct": evaluation.error_pct,
            }
        )
        note += f"  {split} {evaluation.error_pct:.2f} %"
    run.classifier.train()
    run.state.skip_time()
    return note
