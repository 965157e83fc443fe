"""Sizes in pixels: the paper's are for crops of 224, others are in proportion (§3.4)."""

from typing import Any

CROP, SHORT_SIDES = 224, (256, 480)
"""§3.4: the crop's side, and the range of the image's shorter side, in pixels."""


def in_proportion(size: int, crop: int) -> int:
    """Return the size that stands to ``crop`` as ``size`` to the paper's."""
    return round(size * crop / CROP)


def sizes_for(crop: int, papers: Any) -> dict[str, Any]:
    """Return ``crop``, and those ``pixels`` of the paper's recipe that go with it, by field."""

    def scaled(size: Any) -> Any:
        return tuple(map(scaled, size)) if isinstance(size, tuple) else in_proportion(size, crop)

    return {"crop": crop, **{field: scaled(getattr(papers, field)) for field in papers.pixels}}
