"""A command that trains: it starts runs, goes on with some, or repeats somebody's."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepres.cli.terminal import length, say, show
from deepres.cli.training import check_free_for_run, shorthands, training_execution
from deepres.errors import UserError
from deepres.execution import Execution
from deepres.files import check_ours, check_writable
from deepres.pretrained import weights_for
from deepres.recipe_words import fields_in_words
from deepres.recipes import Recipe, recipe_from_dict
from deepres.recipes.schema import naming
from deepres.report.figures import CURVES, learning_curves
from deepres.run_folder import RunFolder
from deepres.run_places import RUNS, run_name
from deepres.run_weights import WEIGHTS
from deepres.torchrun import is_leader
from deepres.training.api import task_of
from deepres.training.repetition import compared, read_original, repeat
from deepres.training.run import resume_together
from deepres.training.tensorboard_log import tensorboard_package

Result = dict[str, Any]


@dataclass(frozen=True)
class TrainCommand:
    """What one such command does in its own way; ``run`` is what all do."""

    recipe_type: type[Recipe]
    """The class of its runs' recipes."""
    example: str
    """A command that starts a run."""
    start: Callable[[argparse.Namespace, list[str]], tuple[list[Path], list[Result]]]
    """Starts the runs that are asked for, called by what is named of ``--set``, and trains them.

    It returns their folders and the contents of their result.json.
    """
    open_data: Callable[[argparse.Namespace, Any, dict[str, Any]], Any]
    """Opens the data of a run that has begun, for its recipe and the content of its recipe.json."""
    summary: Callable[[Result], str]
    """Says what came of a run."""
    remarks: Callable[[Result], list[str]] = lambda result: []
    """Says what else is worth saying of it."""
    execution: Callable[[argparse.Namespace], Execution] = training_execution
    """Says where and how."""
    shorthands: Sequence[str] = ()
    """The options that are short for ``--set FIELD=VALUE``."""
    not_resumed: Sequence[str] = ()
    """The options that ``--resume`` does not take, besides those of all commands."""
    not_repeated: Sequence[str] = ()
    """The options that ``--recipe`` does not take, besides those of all commands."""
    changeable: Sequence[str] = ()
    """The fields of the recipe that can be set when a run goes on."""

    def run(self, options: argparse.Namespace) -> list[Result]:
        """Train, draw the curves, and print what came of it; return each run's result.

        Raises:
            UserError: the options do not fit each other, or the runs.
        """
        named = naming(options.set)
        shorthands(options, *self.shorthands)
        if options.log:
            tensorboard_package()  # before long work
        if options.recipe:
            folders, results = self._repeat(options)
        elif bool(options.networks) == bool(options.resume):
            raise UserError(f"name either a network, e.g. {self.example}, or a run to --resume")
        elif options.resume:
            folders, results = options.resume, self._resume(options)
        else:
            folders, results = self.start(options, named)
        self._say_outcomes(folders, results)
        return results

    def _resume(self, options: argparse.Namespace) -> list[Result]:
        """Go on with the runs that a command names."""
        for option in ("out", "seed", *self.not_resumed):
            if getattr(options, option) is not None:
                name = option.replace("_", "-")
                raise UserError(f"--{name} is for new runs: --resume keeps recipe, seed and folder")
        if any(setting.partition("=")[0] not in self.changeable for setting in options.set):
            but = f", all but {' and '.join(self.changeable)}" if self.changeable else ""
            raise UserError(f"--set is for new runs: --resume keeps the recipe{but}")
        meta = RunFolder(options.resume[0]).read_meta()
        for run in options.resume:
            check_ours(run / CURVES)
            if is_leader():
                check_writable(run)
        recipe: Recipe = recipe_from_dict(meta["recipe"], self.recipe_type, options.resume[0])
        if options.steps is not None:
            recipe.extended(options.steps)  # can it be? Asked before a long download
        here = self.execution(options)
        data = self.open_data(options, recipe.changed(options.set), meta)
        return resume_together(
            task_of(recipe),
            options.resume,
            data,
            here,
            steps=options.steps,
            changes=options.set,
        )

    def _repeat(self, options: argparse.Namespace) -> tuple[list[Path], list[Result]]:
        """Repeat the run whose recipe.json a command names; return folder and result, one each."""
        for option in (*self.not_repeated, "networks", "resume", "steps", "seed", "set"):
            value = getattr(options, option)
            if value is not False and value not in (None, []):
                named = "a network" if option == "networks" else f"--{option.replace('_', '-')}"
                raise UserError(
                    f"--recipe repeats a run as it was, and takes nothing that would change it: "
                    f"leave out {named}"
                )
        here = self.execution(options)  # before a long download
        original = read_original(options.recipe, self.recipe_type)
        recipe, seed = original.recipe, original.meta["seed"]
        named = run_name(recipe.model, recipe.steps, recipe.scaled_from, seed, ["repeated"])
        folder = options.out or RUNS / named
        check_free_for_run(folder)
        where = original.meta["data"]
        place = where["location"]  # null in what deepres brings along: the usual folder, then
        if options.data is None and place not in (None, "sample") and not Path(place).exists():
            raise UserError(
                f"{original.file} was trained on {where['source']}, which is not here: {place}; "
                "say where it is by --data"
            )
        weights = getattr(options, "weights", None)
        given = weights_for(recipe.model, weights, say) if weights else None
        data = self.open_data(options, recipe, original.meta)
        result = repeat(original, folder, data, here, weights=given)
        if is_leader() and (found := compared(original, folder)):
            show(f"{folder / WEIGHTS}: {found}")
        return [folder], [result]

    def _say_outcomes(self, folders: Sequence[Path], results: Sequence[Result]) -> None:
        """Print each run's outcome and remarks on it, and draw its curves."""
        if not is_leader():
            return
        for folder, result in zip(folders, results, strict=True):
            trained = f"{length(result)}, {result['data']}, seed {result['seed']}"
            show(f"{self.summary(result)}, {trained}")
            print("".join(f"{remark}\n" for remark in self.remarks(result)), end="")
            if result["deviations"]:
                show(f"not the paper's: {fields_in_words(result['deviations'])}")
            show(f"curves: {learning_curves(RunFolder(folder))}")
