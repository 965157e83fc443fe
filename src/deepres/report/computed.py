"""Where numbers were computed, in words: in which precision, on what hardware."""

import re
from collections.abc import Iterable, Mapping
from typing import Any


def hardware_of(provenance: Mapping[str, Any]) -> str:
    """Return on what hardware a number was measured, in today's words; nothing: it is unknown."""
    # Earlier versions wrote "1 threads".
    return re.sub(r"\b1 threads$", "1 thread", str(provenance.get("hardware", "")))


def computed(provenances: Iterable[Mapping[str, Any]]) -> str:
    """Say in which precision, and on what hardware: "bf16 on NVIDIA H100"."""
    told = ((str(each.get("precision", "")), hardware_of(each)) for each in provenances)
    ways = (" on ".join(filter(None, words)) for words in told)
    return "; ".join(dict.fromkeys(ways))
