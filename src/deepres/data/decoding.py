"""Images that cannot be decoded, found by all processors together."""

import multiprocessing
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from deepres.data.workers import start_worker
from deepres.errors import UserError
from deepres.progress import Progress
from deepres.runtime import usable_cores

CHUNK = 64  # images that a process takes at a time
MOST_PROCESSES = 16  # each imports this package, PyTorch included: a quarter of a GB


def undecodable(folders: Sequence[Path], suffix: str) -> list[str]:
    """Decode every file in ``folders`` whose name ends in ``suffix``.

    Returns:
        A line for each file that Pillow cannot decode to its last pixel.

    Raises:
        UserError: a process that decodes was killed.
    """
    total = sum(len(names) for _, names in _chunks(folders, suffix))
    processes = max(1, min(usable_cores(), total // CHUNK, MOST_PROCESSES))
    # Spawned, as a fork would copy locks that other threads hold.
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), initializer=start_worker
    )
    failures, done = [], 0
    try:
        with Progress("decode", max(total, 1)) as bar, pool:
            chunks = _chunks(folders, suffix)
            for number, found in _in_order(pool, chunks, ahead=4 * processes):
                failures += found
                done += number
                bar.update(done)
    except BrokenProcessPool as error:
        raise UserError(
            f"a process that decodes images was killed after {done:,} of {total:,} images, "
            "most likely as memory ran out; free some and try again"
        ) from error
    return failures


def _chunks(folders: Iterable[Path], suffix: str) -> Iterator[tuple[Path, list[str]]]:
    for folder in folders:
        names = sorted(path.name for path in folder.glob(f"*{suffix}"))
        for start in range(0, len(names), CHUNK):
            yield folder, names[start : start + CHUNK]


def _in_order(
    pool: Executor, chunks: Iterable[tuple[Path, list[str]]], ahead: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield each chunk's result; no more than ``ahead`` chunks wait in memory."""
    waiting: deque[Future[tuple[int, list[str]]]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(_failures, *chunk))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _failures(folder: Path, names: list[str]) -> tuple[int, list[str]]:
    """Return how many files these are, and a line for each that cannot be decoded."""
    problems = (_problem(folder / name) for name in names)
    return len(names), [problem for problem in problems if problem]


def _problem(path: Path) -> str | None:
    if not path.is_file():
        return f"{path} is no regular file"
    try:
        # Some official files have odd EXIF data.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            image.load()
    except UnidentifiedImageError:
        return f"{path} is not an image that can be read"
    except Exception as error:  # a damaged file can fail anywhere in a decoder
        return f"{path} cannot be decoded ({error})"
    return None
