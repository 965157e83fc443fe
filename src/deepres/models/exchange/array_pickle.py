"""Pickles of NumPy arrays, read without running anything that they name.

An array is pickled as calls of NumPy's functions. Here each of these names stands for a plain
class that keeps what it is given; all other names are refused, and so is what is no number.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepres.errors import UserError
from deepres.files import read_file

NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


def read_arrays(file: Path) -> dict[str, Any]:
    """Return the dict of arrays, and of other plain values, that a pickle holds.

    Raises:
        UserError: the file is missing or damaged, holds something else, or needs code to be run.
    """
    stream = io.BytesIO(read_file(file))
    try:
        content = _Unpickler(stream, encoding="latin1").load()  # Python 2 wrote some
        return {key: _value(value) for key, value in _items(content)}
    except _Refused as error:
        raise UserError(f"{file} is refused: it {error}") from error
    except Exception as error:  # a damaged file can fail anywhere in a decoder
        raise UserError(f"{file} is damaged or no pickle of arrays") from error


class _Refused(pickle.UnpicklingError):
    """A pickle that holds other things than arrays."""


class _Dtype:
    """Stands for numpy.dtype."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        if self.code not in NUMBERS:
            raise _Refused(f"holds an array of {self.code!r}, not of numbers")
        return np.dtype(self.order.replace("|", "=") + self.code)


class _Array:
    """Stands for an array: what is called to make one, and the state that fills it."""

    def __init__(self, *_: object) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_columns, data = state
        if isinstance(data, str):
            data = data.encode("latin1")
        array = np.frombuffer(data, dtype.numpy())
        self.array = array.reshape(shape, order="F" if by_columns else "C")


def _from_buffer(data: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    made = _Array()
    made.__setstate__((1, shape, dtype, order == "F", bytes(data)))
    return made


def _bytes(text: str, encoding: str) -> bytes:
    """Stands for codecs.encode, by which Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise _Refused(f"asks for the codec {encoding!r}")
    return text.encode("latin1")


CORES = ("numpy.core", "numpy._core")
STANDS_FOR: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("collections", "OrderedDict"): dict,
    ("_codecs", "encode"): _bytes,
    **{(f"{core}.multiarray", "_reconstruct"): _Array for core in CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in CORES},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STANDS_FOR:
            raise _Refused(f"names {module}.{name}; only arrays are read, and no code is run")
        return STANDS_FOR[module, name]


def _items(content: object) -> list[tuple[str, Any]]:
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise _Refused("holds no dict of arrays by name")
    return list(content.items())


def _value(value: object) -> Any:
    if isinstance(value, Mapping):
        return {key: _value(each) for key, each in _items(value)}
    if isinstance(value, _Array) and value.array is not None:
        return value.array
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise _Refused(f"holds a {type(value).__name__.strip('_').lower()} where an array is expected")
