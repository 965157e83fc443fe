"""Downloads that resume where they broke off and are checked before they take their name."""

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO, Literal

from deepres.errors import UserError, cannot_write
from deepres.files import file_digest, not_through_links, put_in_place
from deepres.progress import Progress

ATTEMPTS = 4
TIMEOUT_SECONDS = 20.0
CHUNK_BYTES = 1 << 20


class DownloadError(UserError):
    """A source that cannot be reached, or that gave something other than the expected file."""


def download(url: str, path: Path, algorithm: str, digest: str) -> None:
    """Fetch ``url`` into ``path``, which appears only when complete and of the right checksum.

    What has arrived is kept in ``<path>.part``, and a later call goes on from there. Two processes
    must not fetch into the same path at once.

    Args:
        url: http(s) address.
        path: where the file goes; nothing is fetched if it is there already.
        algorithm: a name that ``hashlib`` knows.
        digest: the expected checksum in hexadecimal, or its beginning, as file names carry it;
            "": none is known.

    Raises:
        DownloadError: the server cannot be reached, or its file has another checksum.
        UserError: the disk refused.
    """
    if path.exists() and file_digest(path, algorithm).startswith(digest):
        return
    part = _part(path)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(part.parent, error) from error
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _fetch_rest(url, part)
            break
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:  # refused, broken off, timed out
            nothing_came = not part.exists() or part.stat().st_size == 0
            if attempt == ATTEMPTS or nothing_came:
                reason = getattr(error, "reason", error) or type(error).__name__
                raise DownloadError(f"{url}: {reason}") from error
            time.sleep(0.5 * attempt)
    found = file_digest(part, algorithm)
    if not found.startswith(digest):
        part.unlink()
        raise DownloadError(f"{url}: {algorithm} {found}, expected {digest}; discarded")
    put_in_place(part, path)


def discard(path: Path) -> None:
    """Delete what ``download`` has put at ``path``, and what it has kept to go on with.

    Raises:
        OSError: the disk refused.
    """
    for each in (path, _part(path)):
        each.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _fetch_rest(url: str, part: Path) -> None:
    """Append to ``part`` what is missing; start again where the server cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return  # nothing lies beyond what we have; the checksum decides whether it is the file
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        start = have if resumed else 0
        total = start + int(response.headers.get("Content-Length") or 0)
        bar = Progress(
            f"fetch {part.stem.lstrip('.')} (MB)", max(1, total // 10**6), start // 10**6
        )
        with bar, _open(part, "ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                try:
                    file.write(chunk)
                except OSError as error:
                    raise cannot_write(part, error) from error
                bar.update(file.tell() // 10**6)
            if file.tell() < total:
                raise ConnectionError(
                    f"the connection broke after {file.tell():,} of {total:,} bytes"
                )


def _open(path: Path, mode: Literal["ab", "wb"]) -> BinaryIO:
    try:
        return open(path, mode, buffering=0, opener=not_through_links)
    except OSError as error:
        raise cannot_write(path, error) from error
