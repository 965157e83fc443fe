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


def run_steps(run: Training) -> None:
    """Train to the recipe's last step, logging, evaluating and saving on the way.

    Raises:
        Interrupted: a signal asked for a stop; the state is saved.
        Diverged: the loss or a weight is no longer finite.
    """
    recipe, state = run.recipe, run.state
    network, optimizer = run.classifier.network, state.optimizer
    clock = Clock(state.step)
    saved_at, note = time.monotonic(), ""

    with stop_on_signals() as stop, Progress(recipe.model, recipe.steps, state.step) as bar:
        while state.step < recipe.steps:
            lr = learning_rate(recipe, state.step, state.warming_up)
            set_learning_rate(optimizer, lr)
            images, labels = run.batches(state.step)
            loss, errors = training_step(network, optimizer, images, labels, recipe.precision)
            state.record(loss, errors)

            last = state.step == recipe.steps
            if last or state.step % recipe.log_every == 0:
                note = log_training(run, lr, clock)
            if last or state.step % recipe.eval_every == 0:
                note += log_evaluation(run, last)
                clock.restart(state.step)
            bar.update(state.step, note)

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


class Clock:
    """Measures the training time between logs, evaluations left out."""

    def __init__(self, step: int) -> None:
        self.restart(step)

    def restart(self, step: int) -> None:
        """Let nothing count that happened since the last ``lap``."""
        self._since, self._step = time.monotonic(), step

    def lap(self, step: int) -> tuple[float, int]:
        """Return the seconds and steps since the last lap, and begin the next."""
        seconds, steps = time.monotonic() - self._since, step - self._step
        self.restart(step)
        return seconds, steps


def log_training(run: Training, lr: float, clock: Clock) -> str:
    """Log the window that ends here, end the warm-up if it is time, and return a note."""
    recipe, state = run.recipe, run.state
    loss, errors = state.window()
    error_pct = 100 * errors / recipe.batch_size
    seconds, steps = clock.lap(state.step)
    state.seconds += seconds
    if state.step % recipe.log_every == 0 and error_pct < recipe.warm_up_until_error_pct:
        state.warming_up = False
    run.folder.append_event(
        {
            "step": state.step,
            "split": "train",
            "loss": loss,
            "error_pct": error_pct,
            "lr": lr,
            "images_per_s": steps * recipe.batch_size / seconds,
        }
    )
    return f"lr {lr:g}  loss {loss:.3f}  error {error_pct:.1f} %"


def log_evaluation(run: Training, last: bool) -> str:
    """Evaluate what is watched, and at the last step the test set; return a note."""
    note = ""
    run.classifier.eval()
    for split, images in (run.watched | {"test": run.test} if last else run.watched).items():
        evaluation = evaluate(run.classifier, images)
        run.folder.append_event(
            {
                "step": run.state.step,
                "split": split,
                "loss": evaluation.loss,
                "error_pct": evaluation.error_pct,
            }
        )
        note += f"  {split} error {evaluation.error_pct:.2f} %"
    run.classifier.train()
    return note
