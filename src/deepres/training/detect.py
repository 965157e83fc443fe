"""The loop that trains a detector: one for the 4-step schedule and for joint training."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepres.data.detection.batches import DetectionBatches, Target
from deepres.data.detection.records import DetectionSet
from deepres.detection.faster_rcnn import Detector
from deepres.detection.inference import PLAIN, improvements_in_use
from deepres.evaluation.detection.detector_inference import detect_all
from deepres.evaluation.detection.evaluation_log import detection_entry, note_detection
from deepres.progress import Progress
from deepres.recipes import DetectionRecipe
from deepres.run_folder import RunFolder
from deepres.runtime import derive_seed
from deepres.training.beginning import SaveAndStop, run_provenance
from deepres.training.data_source import Feeding
from deepres.training.detector_state import DetectorState
from deepres.training.interrupt import stop_on_signals
from deepres.training.optim import set_learning_rate


@dataclass
class DetectorTraining:
    """All that one run works with."""

    recipe: DetectionRecipe
    detector: Detector
    state: DetectorState
    train_set: DetectionSet
    test_set: DetectionSet | None
    how: Feeding
    folder: RunFolder
    save_every_s: float
    progress: Callable[[str, int, int], Progress]
    """Makes the bar for a label, the last step and the first."""
    logged_images: int = 0
    logged_seconds: float = 0.0
    """What was trained on since the last log, and when that was."""


def run_steps(run: DetectorTraining) -> None:
    """Train to the recipe's last step, logging, evaluating and saving on the way.

    Raises:
        Interrupted: a signal asked for a stop; the state is saved.
        Diverged: the loss or a weight is no longer finite.
    """
    recipe, state, world = run.recipe, run.state, run.how.world
    train_note = test_note = ""
    bar = run.progress(recipe.model, recipe.steps, state.step)

    with (
        stop_on_signals() as stop,
        bar,
        random_state_kept(run.how.device),
        ExitStack() as streams,
    ):
        batches = streams.enter_context(closing(batches_of_phase(run)))
        save_and_stop = SaveAndStop(
            *(state, run.folder, run.save_every_s, stop, world), command="deepres detect train"
        )
        state.skip_time()
        while state.step < recipe.steps:
            if (number := recipe.phase_of(state.step)) != state.number:
                state.begin_phase(number)
                streams.close()  # those of the phase before
                batches = streams.enter_context(closing(batches_of_phase(run)))
            set_learning_rate(state.optimizer, recipe.learning_rate(state.step))
            # Dropout, and which anchors and regions are drawn, depend on the step alone.
            torch.manual_seed(derive_seed(run.how.seed, "step", state.step, world.rank))
            phase_steps = recipe.steps_of_phase(state.number)
            images, targets = batches(state.step - phase_steps.start)
            state.record(
                training_step(state.network, state.optimizer, images, targets, state.proposer)
            )
            run.logged_images += world.size * len(images)

            last = state.step == recipe.steps
            if state.step == phase_steps.stop or state.step % recipe.log_every == 0:
                train_note = log_training(run)
            if last or (state.phase.whole and state.step % recipe.eval_every == 0):
                test_note = log_evaluation(run, last)
            bar.update(state.step, train_note + test_note)

            save_and_stop(last)


def training_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: list[Tensor],
    targets: list[Target],
    proposer: Detector | None,
) -> dict[str, Tensor]:
    """Take one step of SGD; return this process's losses, on the device.

    Each loss is a mean over the anchors or regions that are drawn from the images of one process,
    and the gradient is the mean over the processes.
    """
    proposals = proposer.propose(images, for_training=True) if proposer else None
    optimizer.zero_grad()
    losses: dict[str, Tensor] = network(images, targets, proposals)
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    return losses


def batches_of_phase(run: DetectorTraining) -> DetectionBatches:
    """Return the batches of the current phase; its first step has number 0."""
    recipe, number = run.recipe, run.state.number
    return DetectionBatches(
        run.train_set,
        batch_size=run.state.phase.batch_size(recipe),
        flip=recipe.flip,
        masks=recipe.detector.masks,
        steps=len(recipe.steps_of_phase(number)),
        seed=derive_seed(run.how.seed, "phase", number),
        device=run.how.device,
        workers=run.how.workers,
        world=run.how.world,
    )


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Leave the caller's random state as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def log_training(run: DetectorTraining) -> str:
    """Log the window that ends here, and return a note."""
    state = run.state
    losses = state.end_window()
    state.count_time()
    lr = run.recipe.learning_rate(state.step - 1)
    event = {
        "step": state.step,
        "split": "train",
        "phase": state.phase.name,
        **losses,
        "lr": lr,
        "images_per_s": run.logged_images / (state.seconds - run.logged_seconds),
    }
    run.logged_images, run.logged_seconds = 0, state.seconds
    if run.how.world.leader:
        run.folder.append_event(event)
    return f"{state.phase.name}  lr {lr:g}  loss {losses['loss']:.3f}"


def log_evaluation(run: DetectorTraining, last: bool) -> str:
    """Evaluate on the images that are watched, or at the last step on all; return a note."""
    state, data = run.state, run.test_set
    if data is None:
        return ""
    state.check_finite()  # what has diverged finds nothing
    state.count_time()
    run.how.world.broadcast_(run.detector.buffers())  # each process has BN statistics of its own
    split = "test" if last else "val"
    run.detector.eval()
    found = detect_all(
        [run.detector],
        data if last else data.spread(run.recipe.eval_images),
        device=run.how.device,
        workers=run.how.workers,
        world=run.how.world,
    )
    scores = run.how.world.broadcast_object(found.scores() if run.how.world.leader else {})
    if run.how.world.leader:
        precisions = {key: value for key, value in scores.items() if "map" in key}
        run.folder.append_event({"step": state.step, "split": split, **precisions})
        if last:
            run.folder.set_tests_aside()
            now = run_provenance(run.how.device, run.how.world)
            used = improvements_in_use([run.detector], PLAIN)
            note_detection(run.folder.path, detection_entry(data, scores, now, used))
    state.network.train()
    state.skip_time()
    return f"  {split} mAP {scores['map_50_pct']:.1f} %"
