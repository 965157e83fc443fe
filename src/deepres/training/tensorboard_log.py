"""A run's events in TensorBoard's format, as the run goes. Needs tensorboard."""

import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from deepres.extras import optional_package
from deepres.files import writing
from deepres.run_folder import Event, RunFolder

SUFFIX = ".deepres"
"""What the names of our files end in: others in the folder are left alone."""
VERSION = "brain.Event:2"
"""Of the format; it stands in a file's first record."""


def tensorboard_package() -> ModuleType:
    """Return what makes the records of such files.

    Raises:
        UserError: tensorboard is not installed.
    """
    optional_package("tensorboard", "tensorboard", "TensorBoard's files need")
    return import_module("torch.utils.tensorboard.summary")  # it needs that package


@contextmanager
def tensorboard_log(path: Path) -> Iterator[Callable[[Event], None]]:
    """Write the events of the run in the folder ``path`` into that folder; yield what takes one.

    What the run has logged already is written first, in place of what an earlier file says: so a
    run that was resumed has no step twice, whatever reads the files.

    Raises:
        UserError: tensorboard is not installed, or the disk refused.
    """
    summary = tensorboard_package()
    from tensorboard.compat.proto.event_pb2 import Event as Record
    from tensorboard.summary.writer.record_writer import RecordWriter

    name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}{SUFFIX}"
    with writing(path):
        for earlier in path.glob(f"events.out.tfevents.*{SUFFIX}"):
            earlier.unlink()
        # Not by SummaryWriter, whose thread shows a traceback when the disk is full.
        writer = RecordWriter((path / name).open("xb"))

    def write(**record: Any) -> None:
        writer.write(Record(wall_time=time.time(), **record).SerializeToString())

    def take(*events: Event) -> None:
        with writing(path):
            for event in events:
                for name, value in _numbers(event):
                    measured = summary.scalar(f"{event['split']}/{name}", value)
                    write(step=event["step"], summary=measured)
            writer.flush()

    try:
        with writing(path):
            write(file_version=VERSION)
        take(*RunFolder(path).read_events())
        yield take
    finally:
        with suppress(OSError):  # all was flushed, or the error that says why not is on its way
            writer.close()


def _numbers(event: Event) -> Iterator[tuple[str, float]]:
    for name, value in event.items():
        if name != "step" and isinstance(value, int | float) and math.isfinite(value):
            yield name, value
