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
from deepres.models.weights import save_weights
from deepres.provenance import provenance
from deepres.recipes.schema import Recipe
from deepres.run_folder import RunFolder
from deepres.runtime import derive_seed, keep_freed_memory, resolve_device
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

    The outcome is a function of (recipe, data, seed), to the bit on the same hardware.

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
    target = resolve_device(device)
    data.split(recipe.holdout)
    folder.create(
        {
            "recipe": recipe.to_dict(),
            "seed": seed,
            "data": {
                "source": data.source,
                "location": data.location,
                "fingerprint": data.fingerprint(),
            },
            "provenance": provenance(target),
        }
    )
    return _run(folder, data, target, save_every_s, say)


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
    if data.fingerprint() != meta["data"]["fingerprint"]:
        raise UserError(
            f"{run} was trained on {meta['data']['source']} ({meta['data']['fingerprint']}), but "
            f"this is {data.source} ({data.fingerprint()}); give the same data by --data"
        )
    now, then = provenance(target), meta["provenance"]
    changed = [f"{key} {then[key]} → {now[key]}" for key in now if now[key] != then.get(key)]
    if changed:
        say(f"not as this run began, so the bits may differ: {'; '.join(changed)}")
        meta.setdefault("resumed", []).append(now)
    if steps is not None:
        meta["recipe"] = Recipe.from_dict(meta["recipe"]).extended(steps).to_dict()
    if changed or steps is not None:
        write_json(folder.recipe, meta)
    return _run(folder, data, target, save_every_s, say)


def _run(
    folder: RunFolder,
    data: Cifar10,
    device: torch.device,
    save_every_s: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train from the latest checkpoint, or from step 0, to the end."""
    keep_freed_memory()
    meta = folder.read_meta()
    recipe, seed = Recipe.from_dict(meta["recipe"]), meta["seed"]
    train_images, held_out = data.split(recipe.holdout)
    classifier = _new_classifier(recipe, seed, data, device)
    optimizer = make_optimizer(classifier.network, recipe)
    state = TrainingState(classifier.network, optimizer, recipe.log_every, device)
    state.load_latest(folder, say)
    folder.rewind_events(state.step)
    test = data.test.to(device)
    training = Training(
        recipe=recipe,
        classifier=classifier,
        state=state,
        batches=Batches(
            train_images,
            classifier.mean,
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
    run_steps(training)
    return _finish(folder, meta, classifier, state)


def _new_classifier(recipe: Recipe, seed: int, data: Cifar10, device: torch.device) -> Classifier:
    """Build the recipe's network with the initial weights of ``seed``, the same on any device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initial weights"))
        network = create_model(recipe.model, num_classes=len(CLASSES))
    mean = per_pixel_mean(data.split(recipe.holdout)[0].images)
    classifier = Classifier(network, mean, CLASSES)
    return classifier.to(device).to(memory_format=torch.channels_last)


def _finish(
    folder: RunFolder, meta: dict[str, Any], classifier: Classifier, state: TrainingState
) -> dict[str, Any]:
    """Write the final weights and numbers, from what was logged at the last step."""
    final = {event["split"]: event for event in folder.read_events()}
    result = {
        "model": meta["recipe"]["model"],
        "steps": state.step,
        "shortened_from": meta["recipe"]["shortened_from"],
        "seed": meta["seed"],
        "data": meta["data"]["source"],
        "test_error_pct": final["test"]["error_pct"],
        "test_loss": final["test"]["loss"],
        "train_error_pct": final["train"]["error_pct"],
        "train_loss": final["train"]["loss"],
        "training_s": round(state.seconds, 1),
        "provenance": meta["provenance"],
    }
    save_weights(folder.weights, classifier, result)
    write_json(folder.result, result)
    return result
