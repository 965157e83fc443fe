"""The wire format of Protocol Buffers: a message as a sequence of numbered fields.

A field begins with a varint, (number << 3) | kind. Kinds are varint, eight bytes, a length and that
many bytes (text, a nested message, packed numbers), and four bytes. Little-endian throughout.
"""

from collections.abc import Iterator

import numpy as np

Field = tuple[int, int | memoryview]
"""A field's number, and its value: a varint's as int, all others' as bytes."""

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
WIDTHS = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
LONGEST_RUN = 1 << 16  # so that a damaged file cannot make the search for a run's end quadratic


class Malformed(ValueError):
    """Bytes that are no such message, or are cut short."""


def read_fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of ``message`` in order.

    Repeated numbers of fixed width that follow one another come together, as if they were packed.

    Raises:
        Malformed: these bytes are not a whole message.
    """
    at = 0
    while at < len(message):
        start = at
        tag, at = read_varint(message, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise Malformed(f"no field has the number 0 (byte {start})")
        if kind == VARINT:
            value, at = read_varint(message, at)
            yield number, value
        elif kind == LENGTH:
            length, at = read_varint(message, at)
            yield number, _take(message, at, length)
            at += length
        elif kind in WIDTHS:
            value_bytes, at = _take_run(message, start, at - start, WIDTHS[kind])
            yield number, value_bytes
        else:
            raise Malformed(f"unknown kind of field {kind} (byte {start})")


def read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read the integer that begins at byte ``at``; return it and where the next byte is.

    Raises:
        Malformed: it does not end, or has more than 64 bits.
    """
    value = 0
    for i, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise Malformed(f"an integer does not end (byte {at})")


def read_varints(message: memoryview) -> list[int]:
    """Read packed integers."""
    values, at = [], 0
    while at < len(message):
        value, at = read_varint(message, at)
        values.append(value)
    return values


def varint(value: int) -> bytes:
    """Encode an integer from 0 up."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def integer_field(number: int, value: int) -> bytes:
    """Encode field ``number`` as an integer from 0 up."""
    return varint(number << 3 | VARINT) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Encode field ``number`` as text, a nested message or packed numbers."""
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def _take(message: memoryview, at: int, length: int) -> memoryview:
    if at + length > len(message):
        raise Malformed(f"the file ends within a field (byte {at})")
    return message[at : at + length]


def _take_run(
    message: memoryview, start: int, tag_width: int, width: int
) -> tuple[memoryview, int]:
    """The values of all fields with the same tag from ``start`` on, and where they end."""
    row = tag_width + width
    _take(message, start, row)
    rows = min((len(message) - start) // row, LONGEST_RUN)
    table = np.frombuffer(message[start : start + rows * row], np.uint8).reshape(rows, row)
    other = (table[:, :tag_width] != table[0, :tag_width]).any(1)
    run = int(other.argmax()) if other.any() else rows
    return memoryview(table[:run, tag_width:].tobytes()), start + run * row
