"""What files and settings of earlier versions call otherwise, and what it is called now."""

from collections.abc import Mapping
from typing import Any

FIELDS = {"shorter_side": "short_side", "shortened_from": "scaled_from"}
"""Fields of a recipe."""
VALUES = {"bad_boxes": {"drop": "skip"}}
"""A field's values."""
KEYS = {"departures": "deviations", "detector": "network", **FIELDS}
"""Keys of a run's files, among them its recipe's fields."""


def fields_of_today(fields: Mapping[str, Any], names: Mapping[str, str] = FIELDS) -> dict[str, Any]:
    """Return ``fields`` with the names and values that they have now."""
    return {
        (today := names.get(name, name)): value_of_today(today, value)
        for name, value in fields.items()
    }


def value_of_today(field: str, value: Any) -> Any:
    """Return what ``field``'s value is called now."""
    values = VALUES.get(field, {})
    return values.get(value, value) if isinstance(value, str) else value
