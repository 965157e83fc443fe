"""What a run trains: all that the lifecycle, the loop and the checkpoint need to know of it."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from deepres.errors import UserError
from deepres.execution import Execution
from deepres.kinds import KINDS
from deepres.recipes import Recipe
from deepres.run_folder import Event, RunFolder
from deepres.training.begun_from import found_again

R = TypeVar("R", bound=Recipe)
D = TypeVar("D")


class Task(ABC, Generic[R, D]):
    """A network, its optimizer and its data, between two steps.

    What only one kind of task has, such as phases or a warm-up, stays in it, and in its
    ``state_dict``.
    """

    recipe_type: ClassVar[type[Recipe]]
    """The class of its recipes."""
    data_types: ClassVar[tuple[type, ...]]
    """The classes of its data."""
    measures: ClassVar[tuple[str, ...]]
    """What ``step`` returns, by name."""

    recipe: R
    seed: int
    execution: Execution
    model: nn.Module
    """All that is trained: the checkpoint holds its tensors."""
    optimizer: torch.optim.SGD

    @classmethod
    @abstractmethod
    def begin(
        cls, recipe: R, data: D, seed: int, execution: Execution, weights: Path | None
    ) -> Self:
        """Set up a run at step 0.

        Args:
            recipe: how it is trained.
            data: what on.
            seed: of the initial weights and of all random draws.
            execution: where and how.
            weights: what it begins from, where it does not begin from random weights.

        Raises:
            UserError: recipe, data, weights and execution do not fit.
        """

    @classmethod
    def begin_again(cls, recipe: R, data: D, meta: dict[str, Any], execution: Execution) -> Self:
        """Set up a run at step 0, as it was begun before; ``meta`` is recipe.json.

        Raises:
            UserError: the weights that it began from are gone or others; or as in ``begin``.
        """
        given = meta.get("initial_weights")
        weights = found_again(given) if given else None
        return cls.begin(recipe, data, meta["seed"], execution, weights)

    @classmethod
    @abstractmethod
    def rebuild(
        cls, recipe: R, data: D, meta: dict[str, Any], saved: dict[str, Any], execution: Execution
    ) -> Self:
        """Set up what a checkpoint, ``saved``, will be loaded into; ``meta`` is recipe.json."""

    def prepare(self) -> None:
        """Do what takes time and needs the weights, before the first step and when a run goes on.

        Raises:
            UserError: the weights are of no use.
        """

    @classmethod
    def check_data(cls, data: Any) -> None:
        """Make sure that what was given as the data is of this task's kind.

        Raises:
            UserError: it is not.
        """
        if not isinstance(data, cls.data_types):
            kinds = " or ".join(f"{each.__module__}.{each.__name__}" for each in cls.data_types)
            raise UserError(
                f"expected the data as {kinds}, which the module opens, got {repr(data)[:80]}"
            )

    @classmethod
    def check_learnable(cls, recipe: R, data: D) -> None:
        """Make sure that a new run of ``recipe`` can learn from ``data``, as far as a glance tells.

        Raises:
            UserError: it cannot.
        """

    @staticmethod
    @abstractmethod
    def describe(data: D) -> dict[str, Any]:
        """Return what recipe.json has on the data: ``data`` and, where they are apart, others.

        Each part has a ``source``, in words, and a ``fingerprint``; a part can be None.
        """

    @property
    def command(self) -> str:
        """What goes on with a run of it, with ``--resume``."""
        return KINDS[self.recipe.kind].train

    @property
    def label(self) -> str:
        """What its bar is called."""
        return self.recipe.model

    @property
    def batch_size(self) -> int:
        """How many images a step takes, over all processes."""
        return self.recipe.batch_size

    @property
    def testable(self) -> bool:
        """Whether what is trained can be tested at this step."""
        return True

    def ends_phase(self, step: int) -> bool:
        """Whether a part of the schedule ends after so many steps, and a log window with it."""
        return False

    @abstractmethod
    def step(self, step: int) -> Tensor:
        """Take the step with this number, the first being 0; return its ``measures``.

        They are this process's, on the device, so that no step waits for the host.
        """

    @abstractmethod
    def log(self, step: int, window: Tensor) -> Event:
        """Return what the event of a log window says: ``loss``, and more if there is more.

        What depends on the window, such as the end of a warm-up, is decided here.

        Args:
            step: how many steps are done.
            window: (steps, measures), the means over all processes.
        """

    @abstractmethod
    def evaluate(self, step: int, folder: RunFolder) -> list[Event]:
        """Test what is trained, at the last step on all test images.

        Returns:
            Events, each with its ``split`` and what ``headline`` needs.
        """

    def headline(self, event: Event) -> str:
        """Return the outcome of a test in a word or two."""
        return f"{event['error_pct']:.2f} %"

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what this task saves besides model and optimizer; all processes take part."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` returned, before model and optimizer are loaded."""

    def most_bytes_besides(self) -> int:
        """Return how much ``state_dict`` will hold at any step, where that is worth counting."""
        return 0

    def meta(self) -> dict[str, Any]:
        """Return what recipe.json has on this task besides recipe, seed and data."""
        return {}

    def provenance(self) -> dict[str, Any]:
        """Return what else the bits of a run of it depend on."""
        return {}

    @abstractmethod
    def result(self, events: list[Event]) -> dict[str, Any]:
        """Return what result.json has on this task, from all events of the run."""

    @abstractmethod
    def save_weights(self, path: Path, result: dict[str, Any]) -> None:
        """Write the final weights, with ``result`` in their metadata."""

    def close(self) -> None:
        """End the processes that decode images, if there are any."""
