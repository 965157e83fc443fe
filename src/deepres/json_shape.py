"""What JSON from a file must look like, written down as plain Python."""

import fnmatch
from dataclasses import dataclass
from typing import Any

Shape = Any
"""``str``, ``bool``, ``list`` or ``dict``: any of these; a ``Number``; None: null; a tuple: one of
several; ``[shape]``: a list of such; ``{key: shape}``: an object with these keys at least, where a
``key?`` may be missing and a ``*_key`` stands for all that end so."""
WORDS: dict[Shape, str] = {
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    None: "null",
}


@dataclass(frozen=True)
class Number:
    """A finite number between two others; a whole one, if it counts something."""

    low: float = -1e38
    high: float = 1e38
    whole: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return kind if self.low < 0 else f"{kind} from {self.low:g} to {self.high:g}"

    def holds(self, value: Any) -> bool:
        """Whether ``value`` is such a number; true and false are none."""
        kinds = int if self.whole else int | float
        known = isinstance(value, kinds) and not isinstance(value, bool)
        return known and self.low <= value <= self.high


NUMBER, PERCENT = Number(), Number(0, 100)
COUNT = Number(0, 2**53, whole=True)
"""Beyond 2^53 floating point does not hold every whole number."""


def misfit(value: Any, shape: Shape, name: str = "") -> str:
    """Say where ``value`` is not of ``shape``, and what is expected there; nothing: it is.

    Args:
        value: what JSON held.
        shape: what it must look like.
        name: what the value is called.
    """
    if isinstance(shape, dict) and isinstance(value, dict):
        return _misfit_of_keys(value, shape, name)
    if isinstance(shape, list) and isinstance(value, list):
        each_misfit = (misfit(each, shape[0], f"{name}[{i}]") for i, each in enumerate(value))
        return next(filter(None, each_misfit), "")
    if isinstance(shape, tuple):
        found = [misfit(value, each, name) for each in shape]
        # What came close says more than that it is none of them.
        deeper = [each for each in found if not each.startswith(f"{name or 'it'} is ")]
        return "" if "" in found else (deeper or [_unlike(value, shape, name)])[0]
    if isinstance(shape, Number):
        fits = shape.holds(value)
    else:
        fits = value is None if shape is None else isinstance(shape, type) and type(value) is shape
    return "" if fits else _unlike(value, shape, name)


def _misfit_of_keys(value: dict[str, Any], shape: dict[str, Shape], name: str) -> str:
    within = f"{name}." if name else ""
    for key, expected in shape.items():
        bare = key.removesuffix("?")
        if "*" in key:
            keys = fnmatch.filter(value, key)
        elif bare in value:
            keys = [bare]
        elif key != bare:
            keys = []
        else:
            return f"{within}{bare} is missing"
        for each in keys:
            if wrong := misfit(value[each], expected, within + each):
                return wrong
    return ""


def _unlike(value: Any, shape: Shape, name: str) -> str:
    kinds = shape if isinstance(shape, tuple) else (shape,)
    words = " or ".join(dict.fromkeys(map(_in_words, kinds)))
    kind = None if value is None else type(value)
    shown = repr(value) if isinstance(value, str | int | float) else _in_words(kind)
    return f"{name or 'it'} is {shown[:60]}, expected {words}"


def _in_words(shape: Shape) -> str:
    if isinstance(shape, dict | list):
        shape = type(shape)
    if isinstance(shape, Number):
        return str(shape)
    return WORDS.get(shape) or f"of Python's type {shape.__name__}"
