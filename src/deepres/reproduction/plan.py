"""The runs that artefacts need, and how far each has come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from deepres.errors import UserError
from deepres.recipes import CifarRecipe, ImageNetRecipe, Recipe, get_recipe, recipe_from_dict
from deepres.recipes.schema import ARITHMETIC, naming
from deepres.reproduction.artefacts import Artefact, Study, Views
from deepres.run_folder import RunFolder
from deepres.run_places import run_name

State = Literal["missing", "cut off", "finished"]


@dataclass(frozen=True)
class PlannedRun:
    """A run of one seed, where it lies or will lie, and what is measured of it."""

    recipe: CifarRecipe | ImageNetRecipe
    seed: int
    folder: Path
    views: frozenset[Views]
    responses: bool

    def state(self) -> State:
        """Return how far it has come.

        Raises:
            UserError: a run of another recipe or seed lies in its place.
        """
        found = RunFolder(self.folder)
        if not found.recipe.exists():
            return "missing"
        meta = found.read_meta()
        there = {**recipe_from_dict(meta["recipe"], Recipe).to_dict(), "seed": meta["seed"]}
        for field, value in {**self.recipe.to_dict(), "seed": self.seed}.items():
            if there.get(field) != value and field not in ARITHMETIC:
                raise UserError(
                    f"{self.folder} holds a run with {field} {there.get(field)}, but one with "
                    f"{value} is needed; move it away, or give another folder by --runs"
                )
        return "finished" if found.read_result() else "cut off"

    def steps_done(self) -> int:
        """Return how many of its steps are logged."""
        events = RunFolder(self.folder).read_events()
        return max((event["step"] for event in events), default=0)


def plan(
    artefacts: Iterable[Artefact],
    runs: Path,
    *,
    steps: int | None = None,
    scale: float | None = None,
    seeds: int = 1,
    settings: Sequence[str] = (),
) -> list[PlannedRun]:
    """Return the runs that ``artefacts`` need, each once.

    Args:
        artefacts: what is to be reproduced.
        runs: the folder of their folders.
        steps: shorten every run to so many steps.
        scale: shorten every run to this share of its steps.
        seeds: how many runs of each network.
        settings: fields of every recipe that differ from the paper's, each ``field=value``. They
            stand in a run's name, but for those that say only how numbers are computed.

    Raises:
        UserError: a length, number or field that cannot be meant.
    """
    if seeds < 1:
        raise UserError(f"--seeds must be at least 1, got {seeds}")
    if scale is not None and not 0 < scale <= 1:
        raise UserError(f"--scale must be above 0 and at most 1, got {scale}")
    planned: dict[Path, PlannedRun] = {}
    for study in [study for artefact in artefacts for study in artefact.studies]:
        recipe = _recipe(study, steps, scale, settings)
        named = naming(settings)
        for seed in range(study.first_seed, study.first_seed + seeds):
            folder = runs / run_name(
                study.recipe, recipe.steps, recipe.scaled_from, seed, [*study.settings, *named]
            )
            views = frozenset({study.views} if study.views else ())
            new = PlannedRun(recipe, seed, folder, views, study.responses)
            old = planned.get(folder, new)
            planned[folder] = replace(
                old, views=old.views | new.views, responses=old.responses or new.responses
            )
    return list(planned.values())


def _recipe(
    study: Study, steps: int | None, scale: float | None, settings: Sequence[str]
) -> CifarRecipe | ImageNetRecipe:
    recipe = get_recipe(study.recipe)
    if scale is not None:
        steps = max(1, round(scale * recipe.steps))
    if steps is not None:
        recipe = recipe.scaled_to(steps)
    try:
        return recipe.changed([*study.settings, *settings])
    except UserError as error:  # CIFAR-10's recipes have not all the fields of ImageNet's
        raise UserError(f"{study.recipe}: {error}") from error
