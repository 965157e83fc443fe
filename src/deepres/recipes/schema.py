"""A recipe holds everything that a run needs to be repeated, apart from the data and the seed."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from deepres.errors import UserError, unknown_name, whole_number
from deepres.recipes.settings import Settings
from deepres.renamed import FIELDS, fields_of_today, value_of_today

Precision = Literal["auto", "fp32", "bf16"]

ARITHMETIC = ("precision",)
"""The fields that say how numbers are computed, not which: they are never deviations."""
OTHERS_WORDS = {
    **dict.fromkeys(("learning_rate", "base_lr", "lr0"), "lr"),
    **dict.fromkeys(("batch", "batchsize", "bs"), "batch_size"),
    **dict.fromkeys(("wd", "decay", "l2"), "weight_decay"),
    **dict.fromkeys(("epochs", "max_epochs", "max_steps", "iterations", "max_iter"), "--steps"),
    **dict.fromkeys(("amp", "dtype"), "precision"),
}
"""What other programs call a field of the recipe."""
MOST_IMAGES = 1 << 20
"""In a batch: a thousand times what anybody trains with, and still no danger to the machine."""
MOST_STEPS = 1 << 53
"""Beyond that JSON's numbers are not exact in every program."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """What the training of every network has: a length, a learning rate, SGD.

    Steps are optimizer steps. A step is numbered by how many came before it: the first is step 0,
    and a learning-rate drop at 32,000 means that step 32,000 is the first with the lower rate.

    Raises:
        UserError: a value that cannot be meant.
    """

    called: ClassVar[str] = "recipe"
    kind: ClassVar[str]
    """Which of the paper's recipes this is, in recipe.json."""
    fixed: ClassVar[frozenset[str]] = frozenset({"model", "scaled_from"})
    """Fields that make the recipe what it is, and cannot be changed."""
    bound: ClassVar[dict[str, str]] = {"steps": "use --steps"}
    """Fields that others depend on, and what sets all of these."""

    model: str
    """The network, a name that ``create_model`` knows."""
    batch_size: int
    """Images per step, over all processes."""
    steps: int
    lr: float
    lr_drops: tuple[int, ...]
    lr_divisor: float
    """What the learning rate is divided by at each drop."""
    momentum: float
    weight_decay: float
    flip: bool
    """Mirror each image with probability one half."""
    log_every: int = 100
    """Steps per log window: training loss and error are means over it."""
    eval_every: int = 1_000
    scaled_from: int | None = None
    """The length in steps of the recipe that this one shortens; None: it is whole."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_least(1, "batch_size", "steps", "log_every", "eval_every")
        self._check_least(0, "weight_decay")
        self._check("batch_size", f"at most {MOST_IMAGES:,}", self.batch_size <= MOST_IMAGES)
        self._check("steps", f"at most {MOST_STEPS:,}", self.steps <= MOST_STEPS)
        self._check_positive("lr")
        self._check("lr_divisor", "between 0.001 and 1,000,000", 1e-3 <= self.lr_divisor <= 1e6)
        self._check("momentum", "in [0, 1)", 0 <= self.momentum < 1)
        ordered = list(self.lr_drops) == sorted(set(self.lr_drops))
        inside = all(0 < drop < self.steps for drop in self.lr_drops)
        self._check(
            "lr_drops", f"rising steps between 0 and steps={self.steps}", ordered and inside
        )

    def scaled_to(self, steps: int) -> Self:
        """Return the recipe for ``steps`` steps, every milestone scaled in proportion.

        In a shorter one the windows of logging and evaluation shrink less, so that curves keep
        enough points and evaluation does not outweigh training. The result is marked by
        ``scaled_from``.

        Raises:
            UserError: there is no step, or the recipe is scaled already: milestones may be lost.
        """
        steps = whole_number(steps, "steps")
        if steps < 1:
            raise UserError(f"a run has 1 step or more, got {steps}")
        if steps == self.steps:
            return self
        if self.scaled_from:
            raise UserError(
                f"the recipe is scaled from {self.scaled_from:,} steps to {self.steps:,} already; "
                f"scale the whole one to {steps:,}"
            )
        return dataclasses.replace(
            self,
            steps=steps,
            **self._milestones(steps),
            log_every=min(self.log_every, max(1, steps // 40)),
            eval_every=min(self.eval_every, max(1, steps // 8)),
            scaled_from=self.steps,
        )

    def _milestones(self, steps: int) -> dict[str, Any]:
        """Return the fields that hold steps, for a length of ``steps``."""
        return {"lr_drops": self._scaled(self.lr_drops, steps)}

    def _scaled(self, milestones: tuple[int, ...], steps: int) -> tuple[int, ...]:
        # Two may fall together, or on the first step, in a run of a handful of steps.
        scaled = {round(milestone * steps / self.steps) for milestone in milestones}
        return tuple(sorted(milestone for milestone in scaled if 0 < milestone < steps))

    def extended(self, steps: int) -> Self:
        """Return the recipe that goes on to ``steps``; the milestones stay where they are."""
        if whole_number(steps, "steps") < self.steps:
            raise UserError(f"the run has {self.steps} steps; to extend it give more, got {steps}")
        return dataclasses.replace(self, steps=steps)

    def changed(self, assignments: Sequence[str]) -> Self:
        """Return the recipe with fields replaced, each assignment written ``field=value``."""
        check_changes(assignments)
        changes = {}
        kinds = self._settable()
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            field = FIELDS.get(name, name)
            if not equals:
                raise UserError(f"--set takes field=value, got {assignment!r}")
            meant = field if field in kinds else OTHERS_WORDS.get(field, field)
            if meant in ARITHMETIC and meant not in kinds:
                raise UserError(f"--set {name}: runs of this kind compute in fp32; leave it out")
            if meant != field:
                raise UserError(f"unknown recipe field {name!r}; did you mean {meant}?")
            if field in self.bound:
                raise UserError(
                    f"--set {field} would leave the milestones in place; {self.bound[field]}"
                )
            if field in self.fixed or field not in kinds:
                settable = kinds.keys() - self.fixed - self.bound.keys()
                raise unknown_name("recipe field", field, settable)
            changes[field] = _parse(field, value_of_today(field, text), kinds[field])
        return self._with(changes)

    @classmethod
    def _settable(cls) -> dict[str, Any]:
        """Return the type of each field that can be written as ``field=value``."""
        return cls.field_types()

    def _with(self, changes: dict[str, Any]) -> Self:
        return dataclasses.replace(self, **changes)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of step ``step``, the first being 0."""
        drops: int = sum(step >= drop for drop in self.lr_drops)
        return self.lr / self.lr_divisor**drops

    def paper(self) -> Self:
        """Return the paper's recipe for the same network, in full length."""
        raise NotImplementedError

    def deviations(self) -> dict[str, Any]:
        """Return the fields in which this deviates from the paper's recipe of the same length.

        How numbers are computed, in which precision, is no deviation; a run's provenance tells it.
        """
        papers = self._comparable().to_dict()
        return {
            field: value
            for field, value in self.to_dict().items()
            if value != papers[field] and field not in ARITHMETIC
        }

    def _comparable(self) -> Self:
        """Return the paper's recipe, in the length of this one if this is made of it."""
        paper = self.paper()
        made_of_it = self.steps < paper.steps or self.scaled_from
        return paper.scaled_to(self.steps) if made_of_it else paper

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Return the recipe of this class that ``to_dict`` gave.

        Raises:
            UserError: a field is unknown or missing: it was written by another version.
        """
        given = {name: value for name, value in fields_of_today(fields).items() if name != "kind"}
        return super().from_dict(given)


def check_changes(given: Any) -> None:
    """Make sure that what a caller gave are changes of a recipe; a text is a list of letters.

    Raises:
        UserError: it is something else.
    """
    listed = isinstance(given, Sequence) and not isinstance(given, str)
    if not (listed and all(isinstance(each, str) for each in given)):
        raise UserError(f"changes are a list of field=value, got {given!r}")


def naming(settings: Iterable[str]) -> list[str]:
    """Return which of some ``field=value`` a run's folder is called by: what tells runs apart."""
    named = [each for each in settings if each.partition("=")[0] not in ARITHMETIC]
    return [each.replace("/", "-") for each in named]  # as of a list in a folder of lists


def _parse(field: str, text: str, kind: Any) -> Any:
    """Read ``text`` as a value of the field's type."""
    if get_origin(kind) is Literal:
        return text
    if type(None) in get_args(kind) and text.lower() == "none":
        return None
    readers: dict[Any, tuple[str, Callable[[str], Any]]] = {
        bool: ("true or false", {"true": True, "false": False}.__getitem__),
        int: ("a whole number", int),
        float: ("a number", float),
        str: ("a word", str),
        str | None: ("a word or none", str),
        int | None: ("a whole number or none", int),
        float | None: ("a number or none", float),
        tuple[int, ...]: ("whole numbers separated by commas", _parse_integers),
        tuple[float, ...]: ("numbers separated by commas", _parse_numbers),
        tuple[int, int]: ("two whole numbers separated by a comma", _parse_two_integers),
    }
    expected, read = readers[kind]
    try:
        return read(text)
    except (ValueError, KeyError) as error:
        raise UserError(f"--set {field}: expected {expected}, got {text!r}") from error


def _parse_integers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip())


def _parse_numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part.strip())


def _parse_two_integers(text: str) -> tuple[int, int]:
    first, second = _parse_integers(text)
    return first, second
