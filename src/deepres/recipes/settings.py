"""What recipes and the settings of detectors share: fields that are checked, and are read again."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

from deepres.errors import UserError
from deepres.recipes.values import take_plain_values


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Plain values, each of its field's type, as JSON and checkpoints can hold them.

    Raises:
        UserError: a value that cannot be meant.
    """

    called: ClassVar[str]
    """What errors call them."""

    def __post_init__(self) -> None:
        take_plain_values(self, self.field_types(), self.called)
        for field, kind in self.field_types().items():
            value = getattr(self, field)
            if isinstance(value, float):
                self._check(field, "finite", math.isfinite(value))
            if get_origin(kind) is Literal:
                self._check(field, "one of " + ", ".join(get_args(kind)), value in get_args(kind))

    def _check(self, field: str, expected: str, holds: bool) -> None:
        if not holds:
            raise UserError(
                f"{self.called}: {field} must be {expected}, got {getattr(self, field)}"
            )

    def _check_least(self, least: int, *fields: str) -> None:
        words = f"at least {least}" if least else "0 or more"
        for field in fields:
            value = getattr(self, field)
            self._check(field, words, value is None or value >= least)

    def _check_positive(self, *fields: str) -> None:
        for field in fields:
            value = getattr(self, field)
            self._check(field, "above 0", value is None or value > 0)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Return the settings of which ``dataclasses.asdict`` gave ``fields``, through JSON or not.

        Raises:
            UserError: a field is unknown or missing: another version of deepres wrote it.
        """
        if foreign := _foreign_fields(cls, fields):
            raise UserError(
                f"the {cls.called} was written by another version of deepres: {foreign}"
            )
        return cls(**fields)

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Return the type of each field."""
        kinds = get_type_hints(cls)
        return {field.name: kinds[field.name] for field in dataclasses.fields(cls)}


def _foreign_fields(kind: type[Settings], given: Mapping[str, Any]) -> str:
    """Say which fields of ``kind`` are too many in ``given``, or lacking; nothing: none."""
    fields = dataclasses.fields(kind)
    if unknown := given.keys() - {field.name for field in fields}:
        return f"this one does not know {', '.join(sorted(unknown))}"
    needed = {
        field.name
        for field in fields
        if field.default is field.default_factory is dataclasses.MISSING
    }
    missing = needed - given.keys()
    return f"it lacks {', '.join(sorted(missing))}" if missing else ""
