"""A run begins, or goes on after any kind of end.

It is the same for whatever is trained; a ``Task`` says what that is.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from deepres.errors import UserError
from deepres.execution import Execution, ShowProgress, hidden
from deepres.files import strict
from deepres.kinds import kind_of
from deepres.progress import Progress
from deepres.provenance import differences
from deepres.recipes import Recipe, recipe_from_dict
from deepres.recipes.schema import check_changes
from deepres.run_contents import misfit_of_meta, seed_of
from deepres.run_folder import RunFolder
from deepres.training.checkpointer import check_space, latest_checkpoint
from deepres.training.clock import Clock
from deepres.training.finishing import Run, is_whole, to_the_end
from deepres.training.same_data import check_same_data, check_same_everywhere
from deepres.training.state import CHANGED_BY_RESUMING, RunState
from deepres.training.task import Task


class NewRun(NamedTuple):
    """A run to start."""

    recipe: Recipe
    seed: int
    folder: Path
    """The folder to make."""
    weights: Path | None = None
    """What it begins from, where it does not begin from random weights."""


def train_together(
    task_type: type[Task[Any, Any]],
    runs: Sequence[NewRun],
    data: Any,
    execution: Execution,
) -> list[dict[str, Any]]:
    """Train several runs at once, of any networks and seeds, a step of each in turn.

    Each run is what it would be alone: a function of (recipe, data, seed), to the bit on the same
    hardware. On CUDA the runs overlap, and share a device that one run of a small network leaves
    idle most of the time. Processes that torchrun started share each batch of a single run; all of
    them make this call.

    Of several runs an error ends its own alone: the others are trained to their ends before the
    first error is raised, and it names its run.

    Args:
        task_type: what they train.
        runs: what to train.
        data: as ``task_type`` takes them.
        execution: where and how.

    Returns:
        The content of each run's result.json.

    Raises:
        UserError: a folder holds a run already, something does not fit, or several processes share
            the batches of several runs.
        BadImage: a file cannot be decoded, and the recipe does not say to skip such.
        Interrupted: SIGINT, SIGTERM or SIGHUP; the states are saved, ``resume_together`` goes on.
        Diverged: the loss or a weight became NaN or infinite; the last good state is kept.
    """
    task_type.check_data(data)
    runs = [new._replace(seed=seed_of(new.seed)) for new in runs]
    _check_apart([new.folder for new in runs])
    for new in runs:
        RunFolder(new.folder).check_absent()
    for new in runs:
        task_type.check_learnable(new.recipe, data)
    leader, clock, at_once = execution.world.leader, Clock(), len(runs)
    with ExitStack() as stack:
        # All that can fail comes before a folder is made.
        going = [
            stack.enter_context(_begun(task_type, new, data, here, clock, at_once))
            for new, here in zip(runs, _with_bars(execution, at_once), strict=True)
        ]
        if leader:
            check_space([(run.folder, run.state.task) for run in going])
        for run in going:
            stack.enter_context(_locked(run.folder, execution))
            if leader:
                run.folder.check_absent()
                run.folder.write_meta(run.meta)
        for run in going:
            run.state.save(run.folder)  # so that a run can go on from its folder alone
        return to_the_end(going, execution)


def resume_together(
    task_type: type[Task[Any, Any]],
    folders: Sequence[Path],
    data: Any,
    execution: Execution,
    *,
    steps: int | None = None,
    changes: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Go on with runs from their latest whole checkpoints, as if they had never stopped.

    Args:
        task_type: what they train.
        folders: of the runs.
        data: the same that they began with.
        execution: where and how.
        steps: a new last step, to extend them; drops of the learning rate stay where they are.
        changes: what may change on the way, each ``field=value``: ``bad_images``.

    Returns:
        The content of each run's result.json.

    Raises:
        UserError: there is no run, the data are not those that it began with, or the runs are of
            several kinds.
        BadImage: as in ``train_together``.
        Interrupted: as in ``train_together``.
        Diverged: as in ``train_together``.
    """
    check_changes(changes)
    fields = {change.partition("=")[0] for change in changes}
    if fixed := sorted(fields - set(CHANGED_BY_RESUMING)):
        raise UserError(f"a run goes on by its own recipe: {fixed[0]} cannot change on the way")
    task_type.check_data(data)
    _check_apart(folders)
    _check_alike(folders)
    for path in folders:
        check_same_data(path, RunFolder(path).read_meta(), task_type.describe(data))
    leader, clock, at_once = execution.world.leader, Clock(), len(folders)
    with ExitStack() as stack:
        going = []
        for path, here in zip(folders, _with_bars(execution, at_once), strict=True):
            stack.enter_context(_locked(RunFolder(path), execution))
            taken_up = _taken_up(task_type, path, data, here, clock, at_once, steps, changes)
            going.append(stack.enter_context(taken_up))
        if leader:
            check_space([(run.folder, run.state.task) for run in going])
            for run in going:
                run.finished = _has_nothing_to_do(run, named=at_once > 1)
                if not run.finished:  # what began from its weights knows their digest
                    _note_resumption(run)
                    run.folder.rewind_events(run.events or 0)
                    run.folder.write_meta(run.meta)
        for run in going:
            if run.events is None:
                run.state.save(run.folder)
        return to_the_end(going, execution)


@contextmanager
def _begun(
    task_type: type[Task[Any, Any]],
    new: NewRun,
    data: Any,
    execution: Execution,
    clock: Clock,
    at_once: int,
) -> Iterator[Run]:
    """Set up a new run; nothing of it is in its folder yet."""
    recipe, seed, path, weights = new
    with closing(task_type.begin(recipe, data, seed, execution, weights)) as task:
        task.prepare()
        described = task_type.describe(data)
        check_same_everywhere(described, execution.world)
        now = _provenance(task, at_once)
        meta = {
            "recipe": recipe.to_dict(),
            "deviations": recipe.deviations(),
            "seed": seed,
            **described,
            **task.meta(),
            "provenance": now,
        }
        if wrong := misfit_of_meta(strict(meta)):
            raise UserError(f"the run could not be read again: in its recipe.json {wrong}")
        state = RunState(task, clock)
        state.check_finite()
        yield Run(RunFolder(path), state, meta, now)


@contextmanager
def _taken_up(
    task_type: type[Task[Any, Any]],
    path: Path,
    data: Any,
    execution: Execution,
    clock: Clock,
    at_once: int,
    steps: int | None,
    changes: Sequence[str],
) -> Iterator[Run]:
    """Set up a run as it was last saved; what has changed since is not in its folder yet."""
    folder, world = RunFolder(path), execution.world
    meta = folder.read_meta()
    recipe: Recipe = recipe_from_dict(meta["recipe"], task_type.recipe_type, path)
    recipe = (recipe if steps is None else recipe.extended(steps)).changed(list(changes))
    meta |= {"recipe": recipe.to_dict(), "deviations": recipe.deviations()}
    saved = world.broadcast_object(
        latest_checkpoint(folder, execution.say) if world.leader else None
    )
    if saved is None:
        made = task_type.begin_again(recipe, data, meta, execution)
    else:
        made = task_type.rebuild(recipe, data, meta, saved, execution)
    with closing(made) as task:
        state = RunState(task, clock)
        if saved is not None:
            state.load(saved, folder)
        if state.step < recipe.steps:
            task.prepare()
        events = None if saved is None else saved["events"]
        del saved  # all of its tensors
        yield Run(folder, state, meta, _provenance(task, at_once), events)


def _check_apart(folders: Sequence[Path]) -> None:
    """Make sure that each of several runs has a folder of its own.

    Raises:
        UserError: two have the same.
    """
    seen = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise UserError(f"two of these runs have the same folder, {folder}; name each once")
        seen.add(folder.resolve())


def _check_alike(folders: Sequence[Path]) -> None:
    """Make sure that runs to go on with at once train things of one kind.

    Raises:
        UserError: they do not, or there is no run.
    """
    recipes = [RunFolder(folder).read_meta()["recipe"] for folder in folders]
    first, *others = [kind_of(recipe).trains for recipe in recipes]
    for folder, trained in zip(folders[1:], others, strict=True):
        if trained != first:
            raise UserError(
                f"{folders[0]} trains {first}, but {folder} {trained}; go on with them one after "
                "the other"
            )


def _provenance(task: Task[Any, Any], runs: int) -> dict[str, Any]:
    """Return what the bits of one of so many ``runs`` at once depend on, and its speed."""
    return {**task.execution.provenance(), "runs_at_once": runs, **task.provenance()}


def _has_nothing_to_do(run: Run, named: bool) -> bool:
    """Say from where a run goes on, ``named`` if need be; tell whether all of it is there."""
    step, recipe = run.state.step, run.state.task.recipe
    say, name = run.state.task.execution.say, f"{run.folder.path}: " if named else ""
    if step < recipe.steps:
        say(f"{name}going on from step {step:,} of {recipe.steps:,}")
        return False
    say(f"{name}all {step:,} steps are done; --steps N extends the run")
    return is_whole(run)


def _note_resumption(run: Run) -> None:
    """Add to what recipe.json says that the run goes on in another way; say what of it matters."""
    now, then = run.provenance, run.meta.get("resumed", [run.meta["provenance"]])[-1]
    if changed := differences(then, now):
        words = "; ".join(changed)
        run.state.task.execution.say(f"not as this run was before, so the bits may differ: {words}")
    if changed or now["runs_at_once"] != then.get("runs_at_once", 1):  # which the speed depends on
        noted = {"step": run.state.step, **now}
        run.meta["resumed"] = [*run.meta.get("resumed", []), noted]


def _locked(folder: RunFolder, execution: Execution) -> AbstractContextManager[None]:
    """Keep other runs out of ``folder``; only the leader does."""
    return folder.locked() if execution.world.leader else nullcontext()


def _with_bars(execution: Execution, runs: int) -> list[Execution]:
    """Return each run's execution: of several, which keep pace, the first one's bar is shown.

    Raises:
        UserError: there are several runs and several processes.
    """
    if runs == 1:
        return [execution]
    if execution.world.size > 1:
        raise UserError(
            f"{runs} runs at once take one process, but torchrun started {execution.world.size}; "
            "start them one after the other"
        )

    def first(label: str, total: int, start: int = 0) -> Progress:
        return execution.progress(f"{label} ×{runs}", total, start)

    bars: list[ShowProgress] = [first, *[hidden] * (runs - 1)]
    return [dataclasses.replace(execution, progress=bar) for bar in bars]
