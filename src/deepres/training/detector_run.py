"""A detector's run from its first step to its result, and its continuation after any end."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from deepres.data.detection.batches import learnable
from deepres.data.detection.records import DetectionSet
from deepres.data.download import file_digest
from deepres.data.images import modification_times
from deepres.data.loading import number_of_workers
from deepres.detection.faster_rcnn import Detector, create_detector
from deepres.detection.weights import save_detector
from deepres.distributed import World, join_world
from deepres.errors import UserError
from deepres.models import Classifier, create_model, load_model
from deepres.models.weights import weights_file
from deepres.progress import Progress
from deepres.recipes import DetectionRecipe, detection_recipe_from_dict, deviations
from deepres.run_folder import RunFolder
from deepres.runtime import keep_freed_memory, make_repeatable
from deepres.training.alternating import SCHEDULES
from deepres.training.beginning import (
    SAVE_EVERY_S,
    check_save_every,
    check_space,
    initial_weights_of,
    locked,
    note_resumption,
    run_provenance,
    say_nothing,
)
from deepres.training.data_source import Feeding
from deepres.training.detect import DetectorTraining, run_steps
from deepres.training.detector_state import DetectorState
from deepres.training.state import identity, latest_state


def train_detector(
    recipe: DetectionRecipe,
    run: str | Path,
    train_set: DetectionSet,
    test_set: DetectionSet | None = None,
    *,
    weights: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    save_every_s: float = SAVE_EVERY_S,
    progress: Callable[[str, int, int], Progress] | None = None,
) -> dict[str, Any]:
    """Train a detector and leave a run folder with its curves, weights and result.

    The outcome is a function of (recipe, data, weights, seed), to the bit on the same hardware.
    For that, PyTorch is made deterministic in this process, and glibc to keep freed memory.
    Processes that torchrun started share each batch; all of them make this call.

    Args:
        recipe: how; see ``detection_recipe``.
        run: the folder to make.
        train_set: the images to train on.
        test_set: those to test on; None: there is no test.
        weights: of the classifier that it is built on, as ``load_model`` takes them, with the
            preparation of the input that belongs to them; None: it starts from random weights.
        seed: of the new layers' weights and of all random draws.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        workers: how many processes decode image files; by default one a core, up to 8.
        save_every_s: seconds between checkpoints; a kill loses no more than that and an
            evaluation.
        progress: makes a bar for a label, the last step and the first; by default one of its own.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: the folder holds a run already, or weights, data and recipe do not fit.
        Interrupted: SIGINT or SIGTERM; the state is saved, ``resume_detector`` goes on.
        Diverged: the loss or a weight became NaN or infinite; the last good state is kept.
    """
    folder = RunFolder(Path(run))
    folder.check_absent()
    check_save_every(save_every_s)
    check_classes(train_set, test_set)
    world, target = join_world(device)
    # All that can fail comes before the folder is made.
    check_shares(recipe, world)
    learnable(train_set, recipe.detector.masks)
    file = weights_file(Path(weights)) if weights else None
    detector = initial_detector(recipe, train_set.classes, file, seed)
    meta = {
        "recipe": recipe.to_dict(),
        "deviations": deviations(recipe),
        "seed": seed,
        "data": described(train_set),
        "test_data": described(test_set) if test_set else None,
        "initial_weights": file and {"file": str(file), "sha256": file_digest(file, "sha256")},
        "detector": {
            "architecture": detector.architecture,
            "mean": detector.mean.tolist(),
            "std": detector.std.tolist(),
            "classes": list(detector.classes),
        },
        "provenance": run_provenance(target, world) | _state(train_set, test_set),
    }
    how = Feeding(seed, target, world, number_of_workers(workers))
    if world.leader:
        check_space([(folder, detector)])
    with locked(folder, world):
        if world.leader:
            folder.check_absent()
            folder.write_meta(meta)
        training = _prepare(
            folder, recipe, detector, (train_set, test_set), how, save_every_s, progress
        )
        return _run(training, meta)


def resume_detector(
    run: str | Path,
    train_set: DetectionSet,
    test_set: DetectionSet | None = None,
    *,
    steps: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    save_every_s: float = SAVE_EVERY_S,
    say: Callable[[str], None] = print,
    progress: Callable[[str, int, int], Progress] | None = None,
) -> dict[str, Any]:
    """Go on with a run from its latest whole checkpoint, as if it had never stopped.

    Args:
        run: its folder.
        train_set: the same images that it began with.
        test_set: the same, too.
        steps: a new last step, to extend the last phase; no drop of the learning rate moves.
        device: as in ``train_detector``.
        workers: as in ``train_detector``.
        save_every_s: as in ``train_detector``.
        say: as in ``train_detector``.
        progress: as in ``train_detector``.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: there is no run, or the data or weights are not those that it began with.
        Interrupted: as in ``train_detector``.
        Diverged: as in ``train_detector``.
    """
    folder = RunFolder(Path(run))
    meta = folder.read_meta()
    recipe = detection_recipe_from_dict(meta["recipe"])
    check_save_every(save_every_s)
    check_same_images(folder, meta["data"], train_set)
    check_same_images(folder, meta["test_data"], test_set)
    if steps is not None:
        recipe = recipe.extended(steps)
    world, target = join_world(device)
    check_shares(recipe, world)
    speak = say if world.leader else say_nothing
    how = Feeding(meta["seed"], target, world, number_of_workers(workers))
    with locked(folder, world):
        state = world.broadcast_object(latest_state(folder, say) if world.leader else None)
        detector = same_detector(recipe, meta, untrained=state is None)
        training = _prepare(
            folder, recipe, detector, (train_set, test_set), how, save_every_s, progress
        )
        done = training.state
        if state:
            done.load(state, folder)
        training.logged_seconds = done.seconds
        if world.leader:
            check_space([(folder, detector)])
        speak(f"going on from step {done.step:,} of {recipe.steps:,}")
        meta |= {"recipe": recipe.to_dict(), "deviations": deviations(recipe)}
        now = run_provenance(target, world) | _state(train_set, test_set)
        note_resumption(meta, now, done.step, speak)
        if world.leader:
            folder.rewind_events(done.events)
            folder.write_meta(meta)
        return _run(training, meta)


def initial_detector(
    recipe: DetectionRecipe, classes: tuple[str, ...], weights: Path | None, seed: int
) -> Detector:
    """Build the recipe's detector on ``weights``; what is new has the initial weights of ``seed``.

    Raises:
        UserError: the weights are of another network than the recipe's.
    """
    backbone = load_model(weights) if weights else recipe.model
    if isinstance(backbone, Classifier):
        name = backbone.network.architecture["name"]
        if name != recipe.model:
            raise UserError(
                f"{weights} holds {name}, but the recipe is for {recipe.model}; give that "
                f"network's weights, or name {name}"
            )
    with initial_weights_of(seed):
        return create_detector(backbone, classes, recipe.detector)


def same_detector(recipe: DetectionRecipe, meta: dict[str, Any], untrained: bool) -> Detector:
    """Build the detector of a run again.

    Args:
        recipe: the run's.
        meta: its recipe.json.
        untrained: with its initial weights; else with any, to be replaced by trained ones.

    Raises:
        UserError: the weights that it began with are needed, and are gone or others now.
    """
    made, given = meta["detector"], meta["initial_weights"]
    classes = tuple(made["classes"])
    if untrained:
        if given and file_digest(Path(given["file"]), "sha256") != given["sha256"]:
            raise UserError(
                f"{given['file']} is not what this run began with, and no later state was saved; "
                "start a new run"
            )
        file = Path(given["file"]) if given else None
        return initial_detector(recipe, classes, file, meta["seed"])
    network = create_model(**made["architecture"])
    mean, std = torch.tensor(made["mean"]), torch.tensor(made["std"])
    return Detector(network, mean, std, classes, recipe.detector)


def check_classes(train_set: DetectionSet, test_set: DetectionSet | None) -> None:
    """Make sure that training and test images have the same classes.

    Raises:
        UserError: they have not.
    """
    if test_set and test_set.classes != train_set.classes:
        raise UserError(
            f"{train_set.name} and {test_set.name} have other classes: {len(train_set.classes)} "
            f"({', '.join(train_set.classes[:3])}, …) and {len(test_set.classes)} "
            f"({', '.join(test_set.classes[:3])}, …); take a test set of the same data"
        )


def check_same_images(
    folder: RunFolder, expected: dict[str, Any] | None, data: DetectionSet | None
) -> None:
    """Make sure that ``data`` are those that the run in ``folder`` began with.

    Raises:
        UserError: they are others, or annotated otherwise.
    """
    found = described(data) if data else None
    if (expected and expected["fingerprint"]) != (found and found["fingerprint"]):
        words = [each and f"{each['source']} ({each['fingerprint']})" for each in (expected, found)]
        raise UserError(
            f"{folder.path} began with {words[0] or 'no test set'}, but this is "
            f"{words[1] or 'none'}; give the same data by --data"
        )


def check_shares(recipe: DetectionRecipe, world: World) -> None:
    """Make sure that the processes can share each phase's batches evenly.

    Raises:
        UserError: they cannot.
    """
    for phase in SCHEDULES[recipe.schedule]:
        if (size := phase.batch_size(recipe)) % world.size:
            field = "batch_size" if "region" in phase.parts else "rpn_batch_size"
            raise UserError(
                f"{field}={size} cannot be shared evenly by {world.size} processes; change one of "
                f"the two, e.g. --set {field}={world.size}"
            )


def described(data: DetectionSet) -> dict[str, Any]:
    """Return what recipe.json has on a data set."""
    return {
        "source": data.name,
        "location": data.location,
        "fingerprint": data.fingerprint(),
        "images": len(data),
        "dropped_objects": data.dropped,
    }


def _state(train_set: DetectionSet, test_set: DetectionSet | None) -> dict[str, str]:
    """Return what else may have changed about the data when a run goes on."""
    paths = [*train_set.paths(), *(test_set.paths() if test_set else [])]
    return {"image_files": modification_times(paths)}


def _prepare(
    folder: RunFolder,
    recipe: DetectionRecipe,
    detector: Detector,
    data: tuple[DetectionSet, DetectionSet | None],
    how: Feeding,
    save_every_s: float,
    progress: Callable[[str, int, int], Progress] | None,
) -> DetectorTraining:
    """Set up a run at step 0."""
    keep_freed_memory()
    make_repeatable(how.device)
    detector.to(how.device)
    return DetectorTraining(
        recipe=recipe,
        detector=detector,
        state=DetectorState(detector, recipe, how.device, how.world, identity(recipe, how.seed)),
        train_set=data[0],
        test_set=data[1],
        how=how,
        folder=folder,
        save_every_s=save_every_s,
        progress=progress or partial(Progress, shown=how.world.leader),
    )


def _run(training: DetectorTraining, meta: dict[str, Any]) -> dict[str, Any]:
    """Train to the end, and write the final weights and numbers; return them."""
    folder, world = training.folder, training.how.world
    run_steps(training)
    result = _result(training, meta) if world.leader else {}
    if world.leader:
        save = partial(save_detector, folder.weights, training.detector, result)
        folder.finish(save, result)
    return world.broadcast_object(result)


def _result(training: DetectorTraining, meta: dict[str, Any]) -> dict[str, Any]:
    recipe, events = training.recipe, training.folder.read_events()
    tests = [event for event in events if event["split"] == "test"]
    trained = [event for event in events if event["split"] == "train"]
    return {
        "model": recipe.model,
        "dataset": recipe.dataset,
        "steps": training.state.step,
        "shortened_from": recipe.shortened_from,
        "deviations": meta["deviations"],
        "seed": meta["seed"],
        "data": meta["data"]["source"],
        "test_data": meta["test_data"] and meta["test_data"]["source"],
        **({f"test_{key}": tests[-1][key] for key in tests[-1] if "map" in key} if tests else {}),
        "train_loss": trained[-1]["loss"],
        "training_s": round(training.state.seconds, 1),
        "initial_weights": meta["initial_weights"],
        "provenance": meta["provenance"],
        "resumed": meta.get("resumed", []),
    }
