"""Text from files and their names, made fit to be shown."""

import unicodedata
from typing import Any


def visible(text: str) -> str:
    """Return ``text`` with what cannot be seen written out, as repr does; lines stay lines.

    A file's or class's name may hold sequences that a terminal would obey, or marks that turn the
    order of what is read around.
    """
    hidden = [c for c in set(text) if not (c.isprintable() or c in "\n\t" or _is_space(c))]
    return text.translate({ord(c): repr(c)[1:-1] for c in hidden})


def in_a_line(text: str) -> str:
    """Return ``text`` visible and on one line."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


def visible_json(value: Any) -> Any:
    """Return what JSON held with all its text made visible, keys and values."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [visible_json(each) for each in value]
    if isinstance(value, dict):
        return {visible(key): visible_json(each) for key, each in value.items()}
    return value


def _is_space(character: str) -> bool:
    return unicodedata.category(character) == "Zs"
