"""Networks under test: a run that goes on may replace their weights at any time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

import torch

from deepres.errors import UserError
from deepres.execution import say_nothing
from deepres.files import file_digest
from deepres.run_folder import RunFolder
from deepres.run_places import comes_with_deepres
from deepres.run_weights import run_of, weights_file

Network = TypeVar("Network", covariant=True)


@dataclass(frozen=True)
class UnderTest(Generic[Network]):
    """A network, and which weights it was loaded from."""

    path: Path
    """A run's folder or a file of weights."""
    digest: str
    """The SHA-256 of their file, before they were loaded."""
    network: Network
    run: RunFolder | None
    """The run that what is found is kept in; None: they are of none, or it comes with deepres."""

    @classmethod
    def open(
        cls, path: Path, load: Callable[[Path, torch.device], Network], device: torch.device
    ) -> Self:
        """Load a network's weights by ``load``, and put it on ``device``.

        Raises:
            UserError: there are none, or as by ``load``.
        """
        digest, run = _digest(path), run_of(path)
        return cls(path, digest, load(path, device), None if comes_with_deepres(path) else run)

    def unchanged(self) -> bool:
        """Tell whether the weights are still those that were loaded, and tests are kept of them."""
        with suppress(UserError):  # what a damaged result.json says is not known
            if self.run and self.run.awaits_weights():
                return False
        with suppress(UserError):  # they may be gone
            return _digest(self.path) == self.digest
        return False


def may_be_kept(tested: Sequence[UnderTest[object]], say: Callable[[str], None]) -> bool:
    """Tell whether the weights that were tested are still there; of those that are not, say so."""
    replaced = [each.path for each in tested if not each.unchanged()]
    for path in replaced:
        say(
            f"{path}: its weights were replaced during the test, or are about to be; the numbers "
            "are of those before, and are not kept"
        )
    return not replaced


@contextmanager
def hold(
    tested: Sequence[UnderTest[object]], say: Callable[[str], None] = say_nothing
) -> Iterator[bool]:
    """Hold the first one's run while what is found is written there; tell whether it may be kept.

    So weights that replace those that were tested find it complete, and set it aside.

    Args:
        tested: the networks.
        say: receives a line on each whose weights were replaced.
    """
    run = tested[0].run
    with run.noting() if run else nullcontext():
        yield may_be_kept(tested, say)


def _digest(weights: Path) -> str:
    file = weights_file(weights)
    return file_digest(file) if file.is_file() else ""  # loading says what is wrong
