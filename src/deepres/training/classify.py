"""The loop that trains a classifier: one for every network and recipe."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torch import Tensor

from deepres.distributed import World
from deepres.evaluation.metrics import evaluate
from deepres.models.classifier import Classifier
from deepres.progress import Progress
from deepres.recipes import ClassificationRecipe
from deepres.run_folder import RunFolder
from deepres.training.beginning import SaveAndStop
from deepres.training.data_source import DataSource
from deepres.training.interrupt import StopRequest
from deepres.training.optim import RATE, learning_rate, set_learning_rate
from deepres.training.state import TrainingState


@dataclass
class Training:
    """All that one run works with."""

    recipe: ClassificationRecipe
    classifier: Classifier
    step: Callable[..., Tensor]
    """Takes a step with what the source took for it; returns its loss and share of errors, (2,)."""
    state: TrainingState
    source: DataSource
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


def run_steps(run: Training, stop: StopRequest) -> Iterator[None]:
    """Train to the recipe's last step, logging, evaluating and saving; pause after each step.

    Raises:
        Interrupted: a signal asked for a stop; the state is saved.
        Diverged: the loss or a weight is no longer finite.
    """
    recipe, state, world = run.recipe, run.state, run.world
    train_note = test_note = ""
    bar = run.progress(recipe.model, recipe.steps, state.step)
    save_and_stop = SaveAndStop(state, run.folder, run.save_every_s, stop, world)

    with bar:
        state.skip_time()
        while state.step < recipe.steps:
            lr = learning_rate(recipe, state.step, state.warming_up, state.plateaus)
            set_learning_rate(state.optimizer, lr)
            state.record(run.step(*run.source.batches.take(state.step)))
            note_left_out(run, run.source.batches.bad)

            last = state.step == recipe.steps
            if last or state.step % recipe.log_every == 0:
                train_note = log_training(run)
            if last or state.step % recipe.eval_every == 0:
                test_note = log_evaluation(run, last)
            bar.update(state.step, train_note + test_note)

            save_and_stop(last)
            yield


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
    lr = state.optimizer.param_groups[0][RATE]
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
    """Evaluate the sets that are watched, and at the last step the test set; return a note."""
    state, world = run.state, run.world
    state.count_time()
    world.broadcast_(run.classifier.buffers())  # each process has BN statistics of its own
    run.classifier.eval()
    due = run.source.eval_sets | {"test": run.source.test} if last else run.source.eval_sets
    note = ""
    for split, images in due.items():
        evaluation = evaluate(run.classifier, images, batch_size=run.source.test_batch, world=world)
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
        if split in run.source.eval_sets and state.step % run.recipe.eval_every == 0:
            state.note_plateau(evaluation.error_pct, run.recipe.lr_plateau)
    run.classifier.train()
    state.skip_time()
    return note
