"""A run from its first step to its result, and its continuation after any kind of end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.distributed import World, join_world
from deepres.errors import UserError
from deepres.models.weights import save_weights
from deepres.progress import Progress
from deepres.recipes import (
    CifarRecipe,
    ImageNetRecipe,
    classification_recipe_from_dict,
    deviations,
)
from deepres.run_folder import RunFolder
from deepres.training.beginning import (
    SAVE_EVERY_S,
    check_space,
    locked,
    note_resumption,
    run_provenance,
)
from deepres.training.classify import Training, run_steps
from deepres.training.concurrent import run_concurrently
from deepres.training.interrupt import StopRequest
from deepres.training.setup import How, kernels, precision, set_up
from deepres.training.state import latest_state

Data = Cifar10 | ImageFolder


class NewRun(NamedTuple):
    """A run to start."""

    recipe: CifarRecipe | ImageNetRecipe
    seed: int
    folder: Path
    """The folder to make."""


def train(
    recipe: CifarRecipe | ImageNetRecipe,
    run: str | Path,
    data: Data,
    *,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    save_every_s: float = SAVE_EVERY_S,
    graph: bool = True,
    recompute: bool = False,
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
        graph: whether a step has fused kernels, and on CUDA is one graph, or is plain PyTorch.
        recompute: whether blocks are computed again in the backward pass, to save memory.
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
    how = How(device, workers, save_every_s, graph, recompute, say, progress)
    return train_together([NewRun(recipe, seed, Path(run))], data, how)[0]


def train_together(runs: Sequence[NewRun], data: Data, how: How) -> list[dict[str, Any]]:
    """Train several runs at once, of any networks and seeds, a step of each in turn.

    Each run is what it would be alone. On CUDA the runs overlap, and share a device that one run
    of a small network leaves idle most of the time.

    Args:
        runs: what to train.
        data: as in ``train``.
        how: where and how.

    Returns:
        The content of each run's result.json.

    Raises:
        UserError: as in ``train``; or several processes share the batches of several runs.
        BadImage: as in ``train``.
        Interrupted: as in ``train``.
        Diverged: as in ``train``, once the other runs are finished.
    """
    for run in runs:
        RunFolder(run.folder).check_absent()
    world, device = join_world(how.device)
    _check_alone(len(runs), world)
    # All that can fail comes before a folder is made.
    if isinstance(data, ImageFolder) and world.leader:
        how.say("taking the mean of the training images")
    bars = _bars(how, len(runs), world)
    trainings = [
        set_up(run.folder, run.recipe, data, run.seed, how, world, device, bar)
        for run, bar in zip(runs, bars, strict=True)
    ]
    if world.leader:
        check_space([(each.folder, each.classifier.network) for each in trainings])
    with ExitStack() as locks:
        metas = []
        for training, (recipe, seed, _) in zip(trainings, runs, strict=True):
            locks.enter_context(locked(training.folder, world))
            now = _provenance(recipe, data, how, device, world, len(runs))
            meta = _meta(recipe, data, seed, now)
            if world.leader:
                training.folder.check_absent()
                training.folder.write_meta(meta)
            metas.append(meta)
        return _run(trainings, metas, device, how.say)


def resume(
    run: str | Path,
    data: Data,
    *,
    steps: int | None = None,
    bad_images: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    save_every_s: float = SAVE_EVERY_S,
    graph: bool = True,
    recompute: bool = False,
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
        graph: as in ``train``.
        recompute: as in ``train``.
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
    how = How(device, workers, save_every_s, graph, recompute, say, progress)
    return resume_together([Path(run)], data, how, steps=steps, bad_images=bad_images)[0]


def resume_together(
    runs: Sequence[Path],
    data: Data,
    how: How,
    *,
    steps: int | None = None,
    bad_images: str | None = None,
) -> list[dict[str, Any]]:
    """Go on with several runs at once; see ``train_together`` and ``resume``."""
    for run in runs:
        check_same_data(RunFolder(run), data)
    world, device = join_world(how.device)
    _check_alone(len(runs), world)
    with ExitStack() as locks:
        trainings, metas, nows = [], [], []
        for run, bar in zip(runs, _bars(how, len(runs), world), strict=True):
            folder = RunFolder(run)
            meta = folder.read_meta()
            recipe = classification_recipe_from_dict(meta["recipe"])
            if steps is not None:
                recipe = recipe.extended(steps)
            if bad_images is not None:
                recipe = recipe.changed([f"bad_images={bad_images}"])
            locks.enter_context(locked(folder, world))
            state = world.broadcast_object(latest_state(folder, how.say) if world.leader else None)
            mean = state["mean"] if state else None
            training = set_up(run, recipe, data, meta["seed"], how, world, device, bar, mean)
            if state:
                training.state.load(state, folder)
            done = training.state
            training.logged_step, training.logged_seconds = done.step, done.seconds
            trainings.append(training)
            metas.append(meta | {"recipe": recipe.to_dict(), "deviations": deviations(recipe)})
            nows.append(_provenance(recipe, data, how, device, world, len(runs)))
        if world.leader:
            check_space([(each.folder, each.classifier.network) for each in trainings])
            for training, meta, now in zip(trainings, metas, nows, strict=True):
                _note_going_on(training, meta, now, how.say)
        return _run(trainings, metas, device, how.say)


def _note_going_on(
    training: Training, meta: dict[str, Any], now: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Say from where a run goes on, and bring its files and its ``meta`` to that."""
    done, folder = training.state, training.folder
    say(f"going on from step {done.step:,} of {training.recipe.steps:,}")
    note_resumption(meta, now, done.step, say)
    folder.rewind_events(done.events)
    folder.write_meta(meta)


def check_same_data(folder: RunFolder, data: Data) -> None:
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


def _check_alone(runs: int, world: World) -> None:
    if runs > 1 and world.size > 1:
        raise UserError(
            f"{runs} runs at once take one process, but torchrun started {world.size}; "
            "start them one after the other"
        )


def _bars(how: How, runs: int, world: World) -> list[Callable[[str, int, int], Progress]]:
    """Return what makes each run's bar: of several, which keep pace, the first one's is shown."""
    if how.progress is not None:
        return [how.progress] * runs

    def first(label: str, total: int, start: int) -> Progress:
        return Progress(f"{label} ×{runs}" if runs > 1 else label, total, start, world.leader)

    return [first, *[partial(Progress, shown=False)] * (runs - 1)]


def _meta(
    recipe: CifarRecipe | ImageNetRecipe, data: Data, seed: int, now: dict[str, Any]
) -> dict[str, Any]:
    """Return what recipe.json says of a new run."""
    return {
        "recipe": recipe.to_dict(),
        "deviations": deviations(recipe),
        "seed": seed,
        "data": {
            "source": data.source,
            "location": data.location,
            "fingerprint": data.fingerprint(),
        },
        "provenance": now,
    }


def _provenance(
    recipe: CifarRecipe | ImageNetRecipe,
    data: Data,
    how: How,
    device: torch.device,
    world: World,
    runs: int,
) -> dict[str, Any]:
    computed = {
        "runs_at_once": runs,
        "precision": precision(recipe, device),
        "kernels": kernels(recipe, how, world, device),
    }
    files = data.state() if isinstance(data, ImageFolder) else {}
    return {**run_provenance(device, world), **computed, **files}


def _run(
    trainings: list[Training],
    metas: list[dict[str, Any]],
    device: torch.device,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Train all runs to their ends, and return their results."""
    loops = [
        partial(_to_the_end, training, meta)
        for training, meta in zip(trainings, metas, strict=True)
    ]
    with ExitStack() as streams:
        for training in trainings:
            streams.enter_context(closing(training.source.batches))
        run_concurrently(loops, device, say)
    world = trainings[0].world
    results = [t.folder.read_result() or {} for t in trainings] if world.leader else []
    return world.broadcast_object(results)


def _to_the_end(training: Training, meta: dict[str, Any], stop: StopRequest) -> Iterator[None]:
    """Train, then write the final weights and numbers; pause after each step."""
    folder, leader = training.folder, training.world.leader
    yield from run_steps(training, stop)
    if leader:
        result = _result(training, meta)
        folder.finish(partial(save_weights, folder.weights, training.classifier, result), result)


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
        "deviations": meta["deviations"],
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
