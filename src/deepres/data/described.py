"""What recipe.json says of the data of a run."""

from typing import Any, Protocol


class NamedData(Protocol):
    """Data that know what they are."""

    @property
    def source(self) -> str:
        """In words, for people."""

    @property
    def location(self) -> str:
        """For ``--data``."""

    def fingerprint(self) -> str:
        """Return a checksum of them."""


def described(data: NamedData) -> dict[str, Any]:
    """Return what recipe.json has on ``data``."""
    return {"source": data.source, "location": data.location, "fingerprint": data.fingerprint()}
