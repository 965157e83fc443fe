"""Weights under test: a run that goes on may replace them at any time."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from deepres.data.download import file_digest
from deepres.errors import UserError
from deepres.run_weights import weights_file


def digest_of(weights: Path) -> str:
    """Return the SHA-256 of a run's or a file's weights; take it before they are loaded.

    Raises:
        UserError: there are none.
    """
    file = weights_file(weights)
    return file_digest(file, "sha256") if file.is_file() else ""  # loading says what is wrong


def unchanged(weights: Path, digest: str) -> bool:
    """Tell whether weights are still those that had this ``digest``."""
    with suppress(UserError):  # they may be gone
        return digest_of(weights) == digest
    return False


def may_be_noted(
    weights: Sequence[Path], digests: Sequence[str], say: Callable[[str], None]
) -> bool:
    """Tell whether the weights that were tested are still there; of those that are not, say so.

    Args:
        weights: runs' folders or files of weights.
        digests: what each had before it was loaded.
        say: receives a line for each that was replaced.
    """
    tested = zip(weights, digests, strict=True)
    replaced = [each for each, digest in tested if not unchanged(each, digest)]
    for each in replaced:
        say(
            f"{each}: its weights were replaced during the test; the numbers are of those before, "
            "and are not kept"
        )
    return not replaced
