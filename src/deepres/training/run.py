"""A run from its first step to its result, and its continuation after any kind of end."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.data.loading import number_of_workers
from deepres.distributed import join_world
from deepres.errors import UserError
from deepres.files import write_json
from deepres.models.classifier import Classifier
from deepres.models.create import create_model
from deepres.models.stages import StagedNetwork
from deepres.models.weights import save_weights
from deepres.progress import Progress
from deepres.recipes import (
    CifarRecipe,
    ImageNetRecipe,
    classification_recipe_from_dict,
    departures,
)
from deepres.run_folder import RunFolder
from deepres.runtime import derive_seed, keep_freed_memory, make_repeatable
from deepres.training.beginning import (
    SAVE_EVERY_S,
    check_save_every,
    locked,
    note_resumption,
    run_provenance,
    say_nothing,
    sharing_gradients,
)
from deepres.training.classify import Training, run_steps
from deepres.training.feed import Feeding, make_feed
from deepres.training.optim import make_optimizer
from deepres.training.state import TrainingState, latest_state


def train(
    recipe: CifarRecipe | ImageNetRecipe,
    run: str | Path,
    data: Cifar10 | ImageFolder,
    *,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    save_every_s: float = SAVE_EVERY_S,
    say: Callable[[str], None] = print,
    progress: Callable[[str, int, int], Progress] | None = None,
) -> dict[str, Any]:
    """Train a network and leave a run folder with its curves, weights and result.

    The outcome is a function of (recipe, data, seed), to the bit on the same hardware. For that,
    PyTorch is made deterministic in this process, and glibc to keep freed memory. Processes that
    torchrun started share each batch; all of them make this call.

    Args:
        recipe: how; see ``get_recipe``.
        run: the folder to make.
        data: CIFAR-10 or its sample, or a folder of images; as the recipe wants it.
        seed: of the initial weights and of all random draws.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        workers: how many processes decode image files; by default one a core, up to 8.
        save_every_s: seconds between checkpoints; a kill loses no more than that and an
            evaluation.
        say: receives lines for the user.
        progress: makes a bar for a label, the last step and the first; by default one of its own.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: the folder holds a run already, or there is no such device.
        BadImage: a file cannot be decoded, and the recipe does not say to skip such.
        Interrupted: SIGINT or SIGTERM; the state is saved, ``resume`` goes on.
        Diverged: the loss or a weight became NaN or infinite; the last good state is kept.
    """
    folder = RunFolder(Path(run))
    folder.check_absent()
    world, target = join_world(device)
    # All that can fail comes before the folder is made.
    feeding = Feeding(seed, target, world, number_of_workers(workers))
    if isinstance(data, ImageFolder) and world.leader:
        say("taking the mean of the training images")
    training = _prepare(folder, recipe, data, feeding, save_every_s, progress)
    meta = {
        "recipe": recipe.to_dict(),
        "departures": departures(recipe),
        "seed": seed,
        "data": {
            "source": data.source,
            "location": data.location,
            "fingerprint": data.fingerprint(),
        },
        "provenance": run_provenance(target, world),
    }
    with locked(folder, world):
        if world.leader:
            folder.check_absent()
            folder.write_meta(meta)
        return _run(training, meta)


def resume(
    run: str | Path,
    data: Cifar10 | ImageFolder,
    *,
    steps: int | None = None,
    bad_images: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    save_every_s: float = SAVE_EVERY_S,
    say: Callable[[str], None] = print,
    progress: Callable[[str, int, int], Progress] | None = None,
) -> dict[str, Any]:
    """Go on with a run from its latest whole checkpoint, as if it had never stopped.

    Args:
        run: its folder.
        data: the same images that it began with.
        steps: a new last step, to extend a run; drops of the learning rate stay where they are.
        bad_images: from now on ``fail`` at files that cannot be decoded, or ``skip`` them.
        device: as in ``train``.
        workers: as in ``train``.
        save_every_s: as in ``train``.
        say: as in ``train``.
        progress: as in ``train``.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: there is no run, or the data are not those that it began with.
        BadImage: as in ``train``.
        Interrupted: as in ``train``.
        Diverged: as in ``train``.
    """
    folder = RunFolder(Path(run))
    meta = folder.read_meta()
    check_same_data(folder, data)
    recipe = classification_recipe_from_dict(meta["recipe"])
    if steps is not None:
        recipe = recipe.extended(steps)
    if bad_images is not None:
        recipe = recipe.changed([f"bad_images={bad_images}"])
    world, target = join_world(device)
    speak = say if world.leader else say_nothing
    with locked(folder, world):
        state = world.leaders(latest_state(folder, say) if world.leader else None)
        mean = state["mean"] if state else None
        feeding = Feeding(meta["seed"], target, world, number_of_workers(workers), mean)
        training = _prepare(folder, recipe, data, feeding, save_every_s, progress)
        if state:
            training.state.load(state, folder)
        done = training.state
        training.logged_step, training.logged_seconds = done.step, done.seconds
        speak(f"going on from step {done.step:,} of {recipe.steps:,}")
        meta |= {"recipe": recipe.to_dict(), "departures": departures(recipe)}
        note_resumption(meta, run_provenance(target, world), done.step, speak)
        if world.leader:
            folder.rewind_events(done.events)
            folder.write_meta(meta)
        return _run(training, meta)


def check_same_data(folder: RunFolder, data: Cifar10 | ImageFolder) -> None:
    """Make sure that ``data`` are those that the run in ``folder`` began with.

    Raises:
        UserError: they are others, or there is no run.
    """
    expected, found = folder.read_meta()["data"], data.fingerprint()
    if found != expected["fingerprint"]:
        raise UserError(
            f"{folder.path} was trained on {expected['source']} ({expected['fingerprint']}), but "
            f"this is {data.source} ({found}); give the same data by --data"
        )


def _prepare(
    folder: RunFolder,
    recipe: CifarRecipe | ImageNetRecipe,
    data: Cifar10 | ImageFolder,
    how: Feeding,
    save_every_s: float,
    progress: Callable[[str, int, int], Progress] | None,
) -> Training:
    """Set up a run at step 0."""
    check_save_every(save_every_s)
    world, device = how.world, how.device
    if recipe.batch_size % (world.size * recipe.accumulate):
        raise UserError(
            f"batch_size={recipe.batch_size} cannot be shared evenly by {world.size} processes in "
            f"{recipe.accumulate} parts each; change one of the three"
        )
    if recipe.sync_batch_norm and device.type != "cuda":
        raise UserError(f"sync_batch_norm works on CUDA devices only, not on {device.type}")
    keep_freed_memory()
    make_repeatable(device)
    initial = initial_network(recipe, len(data.classes), how.seed)
    feed = make_feed(data, recipe, how)
    if recipe.sync_batch_norm:
        initial = nn.SyncBatchNorm.convert_sync_batchnorm(initial)
    classifier = Classifier(
        initial, feed.mean, feed.classes, crop=feed.crop, short_side=feed.shorter_side
    )
    classifier.to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(classifier.network, recipe)
    return Training(
        recipe=recipe,
        classifier=classifier,
        network=sharing_gradients(classifier.network, device) if world.size > 1 else initial,
        state=TrainingState(classifier, optimizer, recipe.log_every, device, world),
        feed=feed,
        folder=folder,
        save_every_s=save_every_s,
        world=world,
        progress=progress or partial(Progress, shown=world.leader),
    )


def initial_network(
    recipe: CifarRecipe | ImageNetRecipe, num_classes: int, seed: int
) -> StagedNetwork:
    """Build the recipe's network with the initial weights of ``seed``, the same on any device."""
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it is
        torch.default_generator.manual_seed(derive_seed(seed, "initial weights"))
        return create_model(recipe.model, num_classes=num_classes, **recipe.model_options())


def _run(training: Training, meta: dict[str, Any]) -> dict[str, Any]:
    """Train to the end, and write the final weights and numbers; return them."""
    folder, world = training.folder, training.world
    if world.leader:
        folder.result.unlink(missing_ok=True)  # the weights stay until there are better ones
    run_steps(training)
    result = _result(training, meta) if world.leader else {}
    if world.leader:
        save_weights(folder.weights, training.classifier, result)
        write_json(folder.result, result)
    return world.leaders(result)


def _result(training: Training, meta: dict[str, Any]) -> dict[str, Any]:
    recipe, events = training.recipe, training.folder.read_events()
    test = [event for event in events if event["split"] == "test"][-1]
    trained = [event for event in events if event["split"] == "train"]
    # A last window of a few steps says little; the one before is whole.
    whole = [event for event in trained if event["step"] % recipe.log_every == 0] or trained
    return {
        "model": recipe.model,
        "steps": training.state.step,
        "shortened_from": recipe.shortened_from,
        "departures": meta["departures"],
        "seed": meta["seed"],
        "data": meta["data"]["source"],
        "test_error_pct": test["error_pct"],
        "test_top5_error_pct": test["top5_error_pct"],
        "test_loss": test["loss"],
        "train_error_pct": whole[-1]["error_pct"],
        "train_loss": whole[-1]["loss"],
        "skipped_images": sum(event.get("skipped_images", 0) for event in trained),
        "skipped_test_images": test.get("skipped_images", 0),
        "training_s": round(training.state.seconds, 1),
        "provenance": meta["provenance"],
        "resumed": meta.get("resumed", []),
    }
