"""Damaged files: what bits, disks, editors and ill will make of them, the same from each seed."""

import copy
import json
import random
import re
from collections.abc import Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, "", "1", "\x1b[2J\u202e", "\ud800", "a" * 300, [], {}, [[]], {"a": None}),
    *(0, -1, 3, 1.5, 2**31, 2**63, 10**40, -(10**40), 1e-320, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf")),
)
"""Values where others are expected; as JSON, NaN and Infinity are what Python writes for them."""
TOKENS = (b"1e999", b"-1e999", b"NaN", b"9" * 30, b"9" * 5_000, b"-0", b'"1"', b"0x1", b"1_0")
"""What may stand in the place of a number."""
DEEP = b"[" * 100_000


def damaged_bytes(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield copies of a file with bits flipped, parts lost, doubled or overwritten."""
    draw = random.Random(seed)
    for _ in range(count):
        start = draw.randrange(len(content) + 1)
        end = min(len(content), start + draw.choice([1, 1, 8, 100, len(content)]))
        other = content[start:end]
        kind = draw.choice(["flip", "flip", "lose", "double", "zero", "noise", "cut"])
        if kind == "flip" and other:
            other = bytes([other[0] ^ 1 << draw.randrange(8)]) + other[1:]
        elif kind == "zero":
            other = bytes(len(other))
        elif kind == "noise":
            other = draw.randbytes(len(other))
        elif kind == "double":
            other *= 2
        elif kind == "cut":
            other, end = b"", len(content)
        else:
            other = b""
        yield content[:start] + other + content[end:]


def damaged_json(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield copies of JSON, of one value or one a line, damaged in its bytes or in what it says."""
    draw = random.Random(seed)
    yield from damaged_bytes(content, count // 3, seed)
    yield DEEP + b"\n"
    numbers = [match.span() for match in re.finditer(rb"(?<=[ \[])-?\d[\d.e-]*", content)]
    for i in range(count - count // 3 - 1):
        if i % 4 == 0:
            start, end = draw.choice(numbers)
            yield content[:start] + draw.choice(TOKENS) + content[end:]
            continue
        lines = content.splitlines(keepends=True) if b"\n{" in content else [content]
        k = draw.randrange(len(lines))
        odd = json.dumps(with_odd_value(json.loads(lines[k]), draw)).encode() + b"\n"
        yield b"".join([*lines[:k], odd, *lines[k + 1 :]])


def with_odd_value(value: Any, draw: random.Random) -> Any:
    """Return JSON with one value, at any depth, lost or replaced by an odd one."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    holder, key = draw.choice(places)
    if draw.random() < 0.2:
        del holder[key]
    else:
        holder[key] = draw.choice(ODD)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what holds each value at any depth, and under which key or number."""
    if isinstance(value, dict | list):
        for key in list(value if isinstance(value, dict) else range(len(value))):
            yield value, key
            yield from _places(value[key])
