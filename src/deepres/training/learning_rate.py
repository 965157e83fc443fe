"""A classifier's learning rate, and what it depends on besides the step: errors so far."""

import math
from typing import Any

from deepres.recipes import ClassificationRecipe


class LearningRate:
    """Warms up until the training error is low enough (§4.2), and drops at plateaus (§3.4).

    A run that goes on takes up what it has seen, so that its rate is what it would have been.

    Args:
        recipe: whose rate it is.
    """

    def __init__(self, recipe: ClassificationRecipe) -> None:
        self._recipe = recipe
        self._warming_up = recipe.warm_up_lr is not None
        self._plateaus = 0
        self._best_error_pct = math.inf
        self._evaluations_since_best = 0

    def at(self, step: int) -> float:
        """Return the rate of step ``step``, the first being 0."""
        return self._recipe.learning_rate(step, self._warming_up, self._plateaus)

    def after_window(self, step: int, error_pct: float) -> None:
        """End the warm-up if a log window's training error is low enough; the window is whole.

        Args:
            step: how many steps are done: what a run's end cuts is no whole window.
            error_pct: the mean over the window.
        """
        whole = step % self._recipe.log_every == 0
        if whole and error_pct < self._recipe.warm_up_until_error_pct:
            self._warming_up = False

    def after_evaluation(self, error_pct: float) -> None:
        """Drop the rate if evaluations in a row have brought no lower error."""
        self._evaluations_since_best += 1
        if error_pct < self._best_error_pct:
            self._best_error_pct, self._evaluations_since_best = error_pct, 0
        elif self._evaluations_since_best == self._recipe.lr_plateau:
            self._plateaus, self._evaluations_since_best = self._plateaus + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Return what it has seen."""
        return {
            "warming_up": self._warming_up,
            "plateaus": self._plateaus,
            "best_error_pct": self._best_error_pct,
            "evaluations_since_best": self._evaluations_since_best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` returned."""
        self._warming_up = state["warming_up"]
        self._plateaus = state["plateaus"]
        self._best_error_pct = state["best_error_pct"]
        self._evaluations_since_best = state["evaluations_since_best"]
