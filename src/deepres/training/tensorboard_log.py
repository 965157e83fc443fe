"""A run's events in TensorBoard's format, as the run goes. Needs tensorboard."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deepres.errors import cannot_write
from deepres.extras import optional_package
from deepres.run_folder import Event, RunFolder

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SUFFIX = ".deepres"
"""What the names of our files end in: others in the folder are left alone."""


def tensorboard_package() -> "type[SummaryWriter]":
    """Return what writes such files.

    Raises:
        UserError: tensorboard is not installed.
    """
    optional_package("tensorboard", "tensorboard", "TensorBoard's files need")
    from torch.utils.tensorboard import SummaryWriter  # it needs that package

    return SummaryWriter


@contextmanager
def tensorboard_log(path: Path) -> Iterator[Callable[[Event], None]]:
    """Write the events of the run in the folder ``path`` into that folder; yield what takes one.

    What the run has logged already is written first, in place of what an earlier file says: so a
    run that was resumed has no step twice, whatever reads the files.

    Raises:
        UserError: tensorboard is not installed, or the disk refused.
    """
    writer_type = tensorboard_package()
    with _naming(path):
        for earlier in path.glob(f"events.out.tfevents.*{SUFFIX}"):
            earlier.unlink()
        writer = writer_type(str(path), filename_suffix=SUFFIX)

    def take(*events: Event) -> None:
        with _naming(path):
            for event in events:
                for name, value in _numbers(event):
                    writer.add_scalar(f"{event['split']}/{name}", value, event["step"])
            writer.flush()

    try:
        take(*RunFolder(path).read_events())
        yield take
    finally:
        writer.close()


def _numbers(event: Event) -> Iterator[tuple[str, float]]:
    for name, value in event.items():
        if name != "step" and isinstance(value, int | float) and math.isfinite(value):
            yield name, value


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say in a line that the system refused to write."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error
