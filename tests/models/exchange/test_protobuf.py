import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepres.models.exchange.protobuf import (
    Malformed,
    bytes_field,
    integer_field,
    read_fields,
    read_varint,
    read_varints,
    varint,
)


def fields(message: bytes) -> list[tuple[int, int | bytes]]:
    read = read_fields(memoryview(message))
    return [(number, v if isinstance(v, int) else bytes(v)) for number, v in read]


@given(st.integers(0, 2**64 - 1))
def test_integers_come_back(value: int) -> None:
    encoded = varint(value)
    assert read_varint(memoryview(encoded + b"\xff"), 0) == (value, len(encoded))
    assert read_varints(memoryview(encoded * 3)) == [value] * 3


def test_the_examples_of_the_documentation() -> None:
    assert varint(150) == b"\x96\x01"
    assert integer_field(1, 150) == b"\x08\x96\x01"
    assert bytes_field(2, b"testing") == b"\x12\x07testing"


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**63) | st.binary())))
def test_fields_come_back_in_order(content: list[tuple[int, int | bytes]]) -> None:
    parts = [
        integer_field(number, value) if isinstance(value, int) else bytes_field(number, value)
        for number, value in content
    ]
    assert fields(b"".join(parts)) == content


def test_runs_of_fixed_width_come_together() -> None:
    four = [b"\x2d" + bytes([i] * 4) for i in range(5)]  # field 5
    eight = [b"\x81\x01" + bytes([i] * 8) for i in range(3)]  # field 16
    message = b"".join([*four[:3], integer_field(1, 7), *four[3:], *eight])
    assert fields(message) == [
        (5, b"".join(f[1:] for f in four[:3])),
        (1, 7),
        (5, b"".join(f[1:] for f in four[3:])),
        (16, b"".join(f[2:] for f in eight)),
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(message: bytes) -> None:
    with contextlib.suppress(Malformed):
        fields(message)


@pytest.mark.parametrize(
    "message",
    [
        b"\x08",  # a tag without its value
        b"\x12\x07testin",  # cut
        b"\x2d\x00\x00\x00",  # four bytes, of which there are three
        b"\x08" + b"\xff" * 10,  # an integer that does not end
        b"\x0b",  # a group, long out of use
        b"\x00\x01",  # field 0
    ],
)
def test_damage_is_noticed(message: bytes) -> None:
    with pytest.raises(Malformed):
        fields(message)
