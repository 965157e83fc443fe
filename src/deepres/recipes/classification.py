"""What the recipes of all classifiers have besides a length, a learning rate and SGD."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from deepres.errors import UserError
from deepres.recipes.schema import Precision, Recipe


@dataclass(frozen=True, kw_only=True)
class ClassificationRecipe(Recipe):
    """What the training of every classifier has besides: a warm-up, parts of a batch, BN.

    It can begin from given weights, to be fine-tuned; the paper trains its classifiers from random
    ones.
    """

    fixed: ClassVar[frozenset[str]] = Recipe.fixed | {"pretrained"}

    lr_plateau: int | None = None
    """Drop the rate once so many evaluations in a row have brought no lower error; None: at
    ``lr_drops`` only."""
    warm_up_lr: float | None = None
    """The learning rate until the training error is low enough; None: no warm-up."""
    warm_up_until_error_pct: float = 80.0
    """Warm-up ends once the training error of a whole log window is below this."""
    precision: Precision = "auto"
    """Of activations and matrix products; auto: bf16 where the device has it, else fp32."""
    accumulate: int = 1
    """Parts in which a process takes its share of a batch, to save memory; BN sees each alone."""
    sync_batch_norm: bool = False
    """Whether BN sees the images of all processes, not of its own alone as in the paper."""
    pretrained: bool = False
    """Whether it begins from given weights, which recipe.json names, not from random ones."""
    freeze: str | None = None
    """The last stage, as conv4_x, that stays as it was given, BN's statistics too, with all stages
    before it; None: all of them learn."""
    new_layer_lr_factor: float = 1.0
    """A last layer that is made anew learns at so many times the rate of the given ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_least(1, "accumulate", "lr_plateau")
        self._check_positive("warm_up_lr", "new_layer_lr_factor")
        self._check(
            "warm_up_until_error_pct", "in (0, 100]", 0 < self.warm_up_until_error_pct <= 100
        )
        if self.lr_plateau is not None and self.lr_drops:
            raise UserError("recipe: lr_plateau takes the place of lr_drops; add --set lr_drops=")
        if self.freeze is not None and not self.pretrained:
            raise UserError(f"recipe: freeze={self.freeze} is for given weights; add --weights")

    def learning_rate(self, step: int, warming_up: bool = False, plateaus: int = 0) -> float:
        """Return the learning rate of step ``step``, the first being 0, after so many plateaus.

        Warm-up takes the place of the initial rate only; the drops stand at their steps (§4.2).
        """
        drops = plateaus + sum(step >= drop for drop in self.lr_drops)
        if warming_up and drops == 0 and self.warm_up_lr is not None:
            return self.warm_up_lr
        return self.lr / self.lr_divisor**drops

    def _comparable(self) -> Self:
        """Return the paper's recipe; one for given weights is another, and no part of its length.

        However long, it deviates in its steps.
        """
        if not self.pretrained:
            return super()._comparable()
        return dataclasses.replace(self.paper(), scaled_from=self.scaled_from)

    @property
    def side(self) -> int:
        """The side, in pixels, of the images that the network is trained on."""
        raise NotImplementedError

    def model_options(self) -> dict[str, Any]:
        """Return the options with which ``create_model`` makes the network."""
        return {}
