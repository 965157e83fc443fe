"""A run from its first step to its result, and its continuation after any kind of end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from deepres.data.batches import Batches
from deepres.data.cifar10 import CLASSES, Cifar10
from deepres.data.transforms import per_pixel_mean
from deepres.errors import UserError
from deepres.files import write_json
from deepres.models.classifier import Classifier
from deepres.models.create import create_model
from deepres.models.stages import StagedNetwork
from deepres.models.weights import save_weights
from deepres.provenance import provenance
from deepres.recipes import Recipe, departures
from deepres.run_folder import RunFolder
from deepres.runtime import derive_seed, keep_freed_memory, make_repeatable, resolve_device
from deepres.training.classify import Training, run_steps
from deepres.training.optim import make_optimizer
from deepres.training.state import TrainingState

SAVE_EVERY_S = 60.0


def train(
    recipe: Recipe,
    run: str | Path,
    data: Cifar10,
    *,
    seed: int = 0,
    device: str = "auto",
    save_every_s: float = SAVE_EVERY_S,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a network and leave a run folder with its curves, weights and result.

    The outcome is a function of (recipe, data, seed), to the bit on the same hardware. For that,
    PyTorch is made deterministic in this process, and glibc to keep freed memory.

    Args:
        recipe: how; see ``get_recipe``.
        run: the folder to make.
        data: CIFAR-10 or its sample.
        seed: of the initial weights and of all random draws.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        save_every_s: seconds between checkpoints; no more than that is lost by a kill.
        say: receives lines for the user.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: the folder holds a run already, or there is no such device.
        Interrupted: SIGINT or SIGTERM; the state is saved, ``resume`` goes on.
        Diverged: the loss or a weight became NaN or infinite; the last good state is kept.
    """
    folder = RunFolder(Path(run))
    folder.check_absent()
    target = resolve_device(device)
    # All that can fail comes before the folder is made.
    training = _prepare(folder, recipe, seed, data, target, save_every_s)
    meta = {
        "recipe": recipe.to_dict(),
        "departures": departures(recipe),
        "seed": seed,
        "data": {
            "source": data.source,
            "location": data.location,
            "fingerprint": data.fingerprint(),
        },
        "provenance": provenance(target),
    }
    with folder.locked():
        folder.check_absent()
        folder.write_meta(meta)
        return _run(training, meta)


def resume(
    run: str | Path,
    data: Cifar10,
    *,
    steps: int | None = None,
    device: str = "auto",
    save_every_s: float = SAVE_EVERY_S,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Go on with a run from its latest whole checkpoint, as if it had never stopped.

    Args:
        run: its folder.
        data: the same images that it began with.
        steps: a new last step, to extend a run; drops of the learning rate stay where they are.
        device: as in ``train``.
        save_every_s: as in ``train``.
        say: as in ``train``.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: there is no run, or the data are not those that it began with.
        Interrupted: as in ``train``.
        Diverged: as in ``train``.
    """
    folder = RunFolder(Path(run))
    target = resolve_device(device)
    meta = folder.read_meta()
    found, expected = data.fingerprint(), meta["data"]["fingerprint"]
    if found != expected:
        raise UserError(
            f"{run} was trained on {meta['data']['source']} ({expected}), but this is "
            f"{data.source} ({found}); give the same data by --data"
        )
    recipe = Recipe.from_dict(meta["recipe"])
    if steps is not None:
        recipe = recipe.extended(steps)
    training = _prepare(folder, recipe, meta["seed"], data, target, save_every_s)
    state = training.state
    with folder.locked():
        state.load_latest(folder, say)
        folder.rewind_events(state.events)
        training.logged_step, training.logged_seconds = state.step, state.seconds
        say(f"going on from step {state.step:,} of {recipe.steps:,}")
        meta |= {"recipe": recipe.to_dict(), "departures": departures(recipe)}
        now = provenance(target)
        then = meta.get("resumed", [meta["provenance"]])[-1]
        if changed := [key for key in now if now[key] != then.get(key)]:
            words = "; ".join(f"{key} {then.get(key)} → {now[key]}" for key in changed)
            say(f"not as this run was before, so the bits may differ: {words}")
            meta["resumed"] = [*meta.get("resumed", []), {"step": state.step, **now}]
        folder.write_meta(meta)
        return _run(training, meta)


def _prepare(
    folder: RunFolder,
    recipe: Recipe,
    seed: int,
    data: Cifar10,
    device: torch.device,
    save_every_s: float,
) -> Training:
    """Set up a run at step 0."""
    if not save_every_s >= 0:
        raise UserError(f"the time between checkpoints must be 0 s or more, got {save_every_s}")
    keep_freed_memory()
    make_repeatable(device)
    train_images, held_out = data.split(recipe.holdout)
    mean = per_pixel_mean(train_images.images)
    classifier = Classifier(_initial_network(recipe, seed), mean, CLASSES)
    classifier.to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(classifier.network, recipe)
    test = data.test.to(device)
    return Training(
        recipe=recipe,
        classifier=classifier,
        state=TrainingState(classifier.network, optimizer, recipe.log_every, device),
        batches=Batches(
            train_images,
            mean,
            batch_size=recipe.batch_size,
            pad=recipe.pad,
            flip=recipe.flip,
            seed=seed,
            device=device,
        ),
        watched={"val": held_out.to(device)} if recipe.holdout else {"test": test},
        test=test,
        folder=folder,
        save_every_s=save_every_s,
    )


def _initial_network(recipe: Recipe, seed: int) -> StagedNetwork:
    """Build the recipe's network with the initial weights of ``seed``, the same on any device."""
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it is
        torch.default_generator.manual_seed(derive_seed(seed, "initial weights"))
        return create_model(recipe.model, num_classes=len(CLASSES))


def _run(training: Training, meta: dict[str, Any]) -> dict[str, Any]:
    """Train to the end, and write the final weights and numbers."""
    folder, state, recipe = training.folder, training.state, training.recipe
    for outdated in (folder.result, folder.weights):
        outdated.unlink(missing_ok=True)
    run_steps(training)

    events = folder.read_events()
    test = [event for event in events if event["split"] == "test"][-1]
    trained = [event for event in events if event["split"] == "train"]
    # A last window of a few steps says little; the one before is whole.
    whole = [event for event in trained if event["step"] % recipe.log_every == 0] or trained
    result = {
        "model": recipe.model,
        "steps": state.step,
        "shortened_from": recipe.shortened_from,
        "departures": meta["departures"],
        "seed": meta["seed"],
        "data": meta["data"]["source"],
        "test_error_pct": test["error_pct"],
        "test_loss": test["loss"],
        "train_error_pct": whole[-1]["error_pct"],
        "train_loss": whole[-1]["loss"],
        "training_s": round(state.seconds, 1),
        "provenance": meta["provenance"],
        "resumed": meta.get("resumed", []),
    }
    save_weights(folder.weights, training.classifier, result)
    write_json(folder.result, result)
    return result
