"""The values of a recipe: Python's own alone, for these JSON and checkpoints can hold."""

import numbers
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from deepres.errors import UserError, whole_number


def take_plain_values(made: Any, kinds: Mapping[str, Any], name: str) -> None:
    """Have a frozen dataclass hold Python's own values: what NumPy's numbers and lists say.

    Args:
        made: the dataclass.
        kinds: the type of each of its fields.
        name: what it is called.

    Raises:
        UserError: a value is not of its field's type.
    """
    for field, kind in kinds.items():
        value = getattr(made, field)
        try:
            plain = _plain(value, kind)
        except (TypeError, UserError) as error:
            raise UserError(f"{name}: {field} must be {_in_words(kind)}, got {value!r}") from error
        object.__setattr__(made, field, plain)


def _plain(value: Any, kind: Any) -> Any:
    """Return ``value`` as Python has it.

    Raises:
        TypeError: it is not of the type ``kind``.
        UserError: it should be a whole number.
    """
    inside = get_args(kind)
    if get_origin(kind) is UnionType:  # with None
        return None if value is None else _plain(value, inside[0])
    if get_origin(kind) is tuple:
        return tuple(_plain(each, inside[0]) for each in value)
    if get_origin(kind) is Literal:  # which of its words are known, the dataclass says itself
        kind = str if isinstance(value, str) else object
    if kind is int:
        return whole_number(value, "it")
    if not isinstance(value, numbers.Real if kind is float else kind):
        raise TypeError
    if kind is float:
        return whole_number(value, "it") if isinstance(value, int) else float(value)
    return str(value) if kind is str else value


def _in_words(kind: Any) -> str:
    inside = get_args(kind)
    if get_origin(kind) is UnionType:
        return f"{_in_words(inside[0])} or none"
    if get_origin(kind) is tuple:
        return f"{_in_words(inside[0]).removeprefix('a ')}s"
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words.get(kind) or f"a {kind.__name__}"
