"""A run that trains a localization network from its first step to its result."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import LocalizationData
from deepres.data.detection.localization_crops import CropBatches
from deepres.data.download import file_digest
from deepres.data.images import modification_times
from deepres.data.loading import number_of_workers
from deepres.detection.localizer_file import build_localizer, save_localizer
from deepres.distributed import World, join_world
from deepres.errors import UserError
from deepres.models.weights import load_model, weights_file
from deepres.recipes.localization import (
    LocalizationRecipe,
    localization_deviations,
    localization_recipe_from_dict,
)
from deepres.run_folder import RunFolder
from deepres.runtime import keep_freed_memory, make_repeatable
from deepres.training.beginning import (
    SAVE_EVERY_S,
    check_save_every,
    check_space,
    initial_weights_of,
    locked,
    note_resumption,
    run_provenance,
    say_nothing,
    sharing_gradients,
)
from deepres.training.localize import LocalizerTraining, run_steps
from deepres.training.optim import make_optimizer
from deepres.training.state import TrainingState, identity, latest_state


def train_localizer(
    recipe: LocalizationRecipe,
    run: Path,
    data: LocalizationData,
    weights: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    save_every_s: float = SAVE_EVERY_S,
) -> dict[str, Any]:
    """Train a localization network and leave a run folder with its curves, weights and result.

    The outcome is a function of (recipe, data, weights, seed), to the bit on the same hardware.

    Args:
        recipe: how.
        run: the folder to make.
        data: images with boxes, of the classes that the weights know.
        weights: a run's folder, or a file of weights, of the recipe's network for classification.
        seed: of the new layers and of all random draws.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        workers: how many processes decode image files; by default one a core, up to 8.
        save_every_s: seconds between checkpoints.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: the folder holds a run already, or the weights are of another network or of
            other classes.
        BadImage: a file cannot be decoded.
        Interrupted: SIGINT or SIGTERM; the state is saved, ``resume_localizer`` goes on.
        Diverged: the loss or a weight became NaN or infinite; the last good state is kept.
    """
    folder = RunFolder(run)
    folder.check_absent()
    world, target = join_world(device)
    classifier = load_model(weights)
    architecture = classifier.network.architecture
    if architecture["name"] != recipe.model:
        raise UserError(f"{weights} is of {architecture['name']}, not of {recipe.model}")
    if classifier.classes != data.classes:
        raise UserError(
            f"{weights} tells other classes apart than those of {data.location}; give weights that "
            "were trained on the same folder's classes"
        )
    meta = {
        "recipe": recipe.to_dict(),
        "deviations": localization_deviations(recipe),
        "seed": seed,
        "data": {
            "source": data.source,
            "location": data.location,
            "fingerprint": data.fingerprint(),
        },
        "weights": {
            "path": str(weights.resolve()),
            "sha256": file_digest(weights_file(weights), "sha256"),
            "architecture": architecture,
            "mean": classifier.mean.mean((1, 2)).tolist(),
            "std": classifier.std.flatten().tolist(),
        },
        "provenance": run_provenance(target, world) | _state(data),
    }
    training = _prepare(folder, recipe, data, meta, world, target, workers, save_every_s)
    kept = training.localizer.network.network
    known = classifier.network.state_dict()
    kept.load_state_dict({name: known[name] for name in kept.state_dict()})
    if world.leader:
        check_space([(folder, training.localizer)])
    with locked(folder, world):
        if world.leader:
            folder.check_absent()
        training.state.save(folder)  # so that to go on takes this folder alone
        if world.leader:
            folder.write_meta(meta)
        return _run(training, meta)


def resume_localizer(
    run: Path,
    data: LocalizationData,
    *,
    steps: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    save_every_s: float = SAVE_EVERY_S,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Go on with a run from its latest whole checkpoint, as if it had never stopped.

    Args:
        run: its folder.
        data: the same images that it began with.
        steps: a new last step, to extend a run; drops of the learning rate stay where they are.
        device: as in ``train_localizer``.
        workers: as in ``train_localizer``.
        save_every_s: as in ``train_localizer``.
        say: receives lines for the user.

    Returns:
        The content of the run's result.json.

    Raises:
        UserError: there is no such run, or the data are not those that it began with.
    """
    folder = RunFolder(run)
    meta = folder.read_meta()
    recipe = localization_recipe_from_dict(meta["recipe"])
    if data.fingerprint() != meta["data"]["fingerprint"]:
        raise UserError(
            f"{run} was trained on {meta['data']['source']} ({meta['data']['fingerprint']}), but "
            f"this is {data.source} ({data.fingerprint()}); give the same data by --data"
        )
    if steps is not None:
        recipe = recipe.extended(steps)
    world, target = join_world(device)
    say = say if world.leader else say_nothing
    with locked(folder, world):
        state = world.broadcast_object(latest_state(folder, say) if world.leader else None)
        if state is None:
            raise UserError(f"{run} has no checkpoint; delete it and start the run again")
        training = _prepare(folder, recipe, data, meta, world, target, workers, save_every_s)
        done = training.state
        done.load(state, folder)
        training.logged_step, training.logged_seconds = done.step, done.seconds
        if world.leader:
            check_space([(folder, training.localizer)])
        say(f"going on from step {done.step:,} of {recipe.steps:,}")
        meta |= {"recipe": recipe.to_dict(), "deviations": localization_deviations(recipe)}
        note_resumption(meta, run_provenance(target, world) | _state(data), done.step, say)
        if world.leader:
            folder.rewind_events(done.events)
            folder.write_meta(meta)
        return _run(training, meta)


def _state(data: LocalizationData) -> dict[str, str]:
    """Return what else may have changed about the data when a run goes on."""
    return {"image_files": modification_times([*data.train.paths(), *data.test.paths()])}


def _prepare(
    folder: RunFolder,
    recipe: LocalizationRecipe,
    data: LocalizationData,
    meta: dict[str, Any],
    world: World,
    device: torch.device,
    workers: int | None,
    save_every_s: float,
) -> LocalizerTraining:
    """Set up a run at step 0; the layers before the new ones have no weights yet."""
    check_save_every(save_every_s)
    if recipe.batch_size % world.size:
        raise UserError(
            f"batch_size={recipe.batch_size} cannot be shared evenly by {world.size} processes"
        )
    keep_freed_memory()
    make_repeatable(device)
    seed, source = meta["seed"], meta["weights"]
    mean, std = (torch.tensor(source[name]).view(3, 1, 1) for name in ("mean", "std"))
    with initial_weights_of(seed):
        localizer = build_localizer(source["architecture"], recipe, data.classes, mean, std)
    localizer.to(device).to(memory_format=torch.channels_last)
    network = localizer.network
    optimizer = make_optimizer(network, recipe)
    decoding = number_of_workers(workers)
    batches = CropBatches(
        BoxedImages.of(data.train),
        recipe,
        mean,
        std,
        seed=seed,
        device=device,
        workers=decoding,
        world=world,
    )
    return LocalizerTraining(
        recipe=recipe,
        localizer=localizer,
        network=sharing_gradients(network, device) if world.size > 1 else network,
        state=TrainingState(
            *(localizer, optimizer, recipe.log_every, device, world), identity(recipe, seed)
        ),
        data=data,
        batches=batches,
        folder=folder,
        world=world,
        device=device,
        seed=seed,
        workers=decoding,
        save_every_s=save_every_s,
    )


def _run(run: LocalizerTraining, meta: dict[str, Any]) -> dict[str, Any]:
    """Train to the end, and write the final weights and numbers; return them."""
    run_steps(run)
    result = _result(run, meta) if run.world.leader else {}
    if run.world.leader:
        architecture = meta["weights"]["architecture"]
        run.folder.finish(
            partial(
                save_localizer,
                *(run.folder.weights, run.localizer, architecture, run.recipe, result),
            ),
            result,
        )
    return run.world.broadcast_object(result)


def _result(run: LocalizerTraining, meta: dict[str, Any]) -> dict[str, Any]:
    recipe, events = run.recipe, run.folder.read_events()
    trained = [event for event in events if event["split"] == "train"]
    test = [event for event in events if event["split"] == "test"][-1]
    # A last window of a few steps says little; the one before is whole.
    whole = [event for event in trained if event["step"] % recipe.log_every == 0] or trained
    return {
        "model": recipe.model,
        "steps": run.state.step,
        "shortened_from": recipe.shortened_from,
        "deviations": meta["deviations"],
        "seed": meta["seed"],
        "data": meta["data"]["source"],
        "weights": meta["weights"]["path"],
        "test_error_pct": test["error_pct"],
        "train_error_pct": whole[-1]["error_pct"],
        "train_loss": whole[-1]["loss"],
        "mean_box": BoxedImages.of(run.data.train).mean_box().tolist(),
        "training_s": round(run.state.seconds, 1),
        "provenance": meta["provenance"],
        "resumed": meta.get("resumed", []),
    }
