"""Files that one process holds at a time, so that others wait for it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def held(
    file: Path, flags: int = os.O_RDWR, on_wait: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold a file, or a folder, from when no other process holds it any more.

    On Windows, and on file systems that know no locks, nobody waits.

    Args:
        file: what to hold; it stays, and is not replaced by another.
        flags: how it is opened; a folder for reading only.
        on_wait: is called if another process holds it; it may raise, so that nobody waits.

    Raises:
        OSError: it cannot be opened.
    """
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(file, flags, 0o600)  # its lock goes with the process
    try:
        with suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
