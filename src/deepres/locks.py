"""Files that one process holds at a time, so that others wait for it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def held(file: Path, flags: int = os.O_RDWR) -> Iterator[None]:
    """Hold a file from when no other process holds it any more.

    On Windows, and on file systems that know no locks, nobody waits.

    Args:
        file: what to hold; it stays, and is not replaced by another.
        flags: how it is opened.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(file, flags, 0o600)  # its lock goes with the process
    try:
        if sys.platform != "win32":
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
