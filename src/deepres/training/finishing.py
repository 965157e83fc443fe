"""The end of runs: trained to their last steps, they leave their weights and their numbers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from deepres.errors import UserError
from deepres.event_log import of_split
from deepres.execution import Execution
from deepres.models.weights import read_weights
from deepres.run_folder import RunFolder
from deepres.training.concurrent import run_concurrently
from deepres.training.interrupt import Interrupted, StopRequest
from deepres.training.loop import run_steps
from deepres.training.state import RunState


@dataclass
class Run:
    """A run that is going on."""

    folder: RunFolder
    state: RunState
    meta: dict[str, Any]
    """What recipe.json says, or is about to."""
    provenance: dict[str, Any]
    """What its bits and its speed depend on, from here on."""
    events: int | None = None
    """How many there were when it was saved; None: it has not been saved yet."""
    finished: bool = False
    """Whether all that it leaves is there; only the leader knows."""


def to_the_end(runs: Sequence[Run], execution: Execution) -> list[dict[str, Any]]:
    """Train all ``runs`` to their ends, and return their results."""
    execution.world.wait_for_leader()  # whoever fails at once must find its files whole
    train = _train_and_finish if len(runs) == 1 else _train_and_finish_by_name
    try:
        run_concurrently([partial(train, run) for run in runs], execution.device)
    except Exception:
        for run in runs:
            if run.finished:
                execution.say(_outcome(run))
        raise
    leader = execution.world.leader
    results = [run.folder.read_result() or {} for run in runs] if leader else []
    return execution.world.broadcast_object(results)


def _train_and_finish(run: Run, stop: StopRequest) -> Iterator[None]:
    """Train, then write the final weights and numbers; pause after each step."""
    task = run.state.task
    with _listening(run.folder, task.execution):
        yield from run_steps(run.state, run.folder, stop)
    if task.execution.world.leader and not run.finished:
        result = _result(run)
        with run.state.clock.stopped():
            run.folder.finish(partial(task.save_weights, run.folder.weights, result), result)
        run.finished = True


def _train_and_finish_by_name(run: Run, stop: StopRequest) -> Iterator[None]:
    """Do so as one of several: what ends this run is said at once, and which run it is."""
    try:
        yield from _train_and_finish(run, stop)
    except Interrupted:
        raise
    except Exception as error:
        name, words = str(run.folder.path), str(error)
        named = words if name in words else f"{name}: {words}"
        run.state.task.execution.say(named)
        if isinstance(error, UserError):
            raise type(error)(named) from error
        raise


def _outcome(run: Run) -> str:
    """Say that a run is finished, and what its last test found."""
    tests = of_split(run.folder.read_events(), "test")
    found = f": test {run.state.task.headline(tests[-1])}" if tests else ""
    return f"{run.folder.path} is finished{found}"


def is_whole(run: Run) -> bool:
    """Tell whether a run that has all its steps has its result and its weights, unharmed."""
    steps = run.state.step
    try:
        result = run.folder.read_result()
        if result is None or result.get("steps", steps) != steps or run.folder.altered():
            return False
        read_weights(run.folder.weights)
    except UserError:
        return False
    return True


def _result(run: Run) -> dict[str, Any]:
    recipe, meta = run.state.task.recipe, run.meta
    return {
        "model": recipe.model,
        "steps": run.state.step,
        "scaled_from": recipe.scaled_from,
        "deviations": meta["deviations"],
        "seed": meta["seed"],
        "data": meta["data"]["source"],
        **run.state.task.result(run.folder.read_events()),
        "training_s": round(run.state.seconds, 1),
        "provenance": meta["provenance"],
        "resumed": meta.get("resumed", []),
    }


@contextmanager
def _listening(folder: RunFolder, execution: Execution) -> Iterator[None]:
    """Tell the events of a run to the log that the leader's execution asks for."""
    if execution.log and execution.world.leader:
        with execution.log(folder.path) as listener:
            folder.listeners.append(listener)
            yield
    else:
        yield
