"""The loop that trains, whatever is trained."""

from collections.abc import Iterator

from deepres.run_folder import RunFolder
from deepres.training.checkpointer import Checkpointer
from deepres.training.interrupt import StopRequest
from deepres.training.optim import FACTOR, RATE
from deepres.training.state import RunState


def run_steps(state: RunState, folder: RunFolder, stop: StopRequest) -> Iterator[None]:
    """Train to the recipe's last step, logging, evaluating and saving, one step for each ``next``.

    Raises:
        Interrupted: a signal asked for a stop; the state is saved.
        Diverged: the loss or a weight is no longer finite.
    """
    task, recipe = state.task, state.task.recipe
    checkpointer = Checkpointer(state, folder, stop)
    train_note = test_note = ""

    with task.execution.progress(task.label, recipe.steps, state.step) as bar:
        state.start_time()
        while state.step < recipe.steps:
            state.record(task.step(state.step))

            last = state.step == recipe.steps
            if last or state.step % recipe.log_every == 0 or task.ends_phase(state.step):
                train_note = log_training(state, folder)
            if last or (task.testable and state.step % recipe.eval_every == 0):
                test_note = log_evaluation(state, folder)
            bar.update(state.step, train_note + test_note)

            checkpointer(last)
            yield


def log_training(state: RunState, folder: RunFolder) -> str:
    """Log the window that ends here, and return a note."""
    measured = state.task.log(state.step, state.means())
    group = state.task.optimizer.param_groups[0]
    lr = group[RATE] / group[FACTOR]
    rates = {"lr": lr, "images_per_s": state.take_images_per_s()}
    state.end_window()
    if state.world.leader:
        folder.append_event({"step": state.step, "split": "train", **measured, **rates})
    phase = f"{measured['phase']}  " if "phase" in measured else ""
    error = f"  error {measured['error_pct']:.1f} %" if "error_pct" in measured else ""
    return f"{phase}lr {lr:g}  loss {measured['loss']:.3f}{error}"


def log_evaluation(state: RunState, folder: RunFolder) -> str:
    """Test what is trained, and return a note."""
    state.check_finite()  # what has diverged finds nothing
    with state.clock.stopped():
        events = state.task.evaluate(state.step, folder)
        if state.world.leader:
            for event in events:
                folder.append_event({"step": state.step, **event})
    return "".join(f"  {event['split']} {state.task.headline(event)}" for event in events)
