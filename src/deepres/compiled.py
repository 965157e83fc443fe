"""C that the system's compiler compiles at first use, and the user's cache keeps."""

import ctypes
import hashlib
import os
import shlex
import shutil
import signal
import stat
import subprocess
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from deepres.files import file_digest

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC")
SECONDS = 60.0
"""The most that the compiler may take; a busy machine needs some."""
DAY = 86_400.0
"""Seconds for which a compiler that failed is left alone."""


class CannotCompile(Exception):
    """There is no library, for the reason that the message names."""


@cache
def compiled(source: Path) -> ctypes.CDLL | str:
    """Return the library made of a C file, or why there is none; a process tries once.

    What failed or took too long is noted in the cache, so that no process waits for it again
    before a day is over, the note is removed, or there is another compiler. OpenMP's threads are
    those that PyTorch has.
    """
    try:
        return _library(source)
    except CannotCompile as why:
        return str(why)
    except OSError as error:
        return f"{error.strerror or error}"


def cache_folder() -> Path:
    """Return the user's own cache folder, made if need be.

    Raises:
        CannotCompile: it is not the user's alone.
        OSError: it cannot be made.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        caches = given if given.is_absolute() else Path("~/.cache").expanduser()
    except RuntimeError as error:  # a user of whom the system knows only a number
        raise CannotCompile("there is no home folder; set XDG_CACHE_HOME") from error
    folder = caches / "deepres"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_own(folder.lstat(), stat.S_IFDIR, forbidden=0o077):
        raise CannotCompile(f"{folder} is not private: chmod 700, or remove it")
    return folder


def _library(source: Path) -> ctypes.CDLL:
    if os.name != "posix":
        raise CannotCompile(f"no C is compiled on {os.name}")
    compiler = _compiler()
    key = _key(source.read_bytes(), FLAGS, compiler, _identity(compiler[0]))
    note = cache_folder() / f"{source.stem}-{key}.failed"
    if said := _noted(note):
        raise CannotCompile(said)
    try:
        return _load(_file(source, compiler))
    except CannotCompile as why:
        said = f"{why}; to try again before tomorrow remove {note}"
        with suppress(OSError):
            note.write_text(said)
        raise CannotCompile(said) from why


def _compiler() -> list[str]:
    """Return the compiler's command: its path, then its own options."""
    given = os.environ.get("CC") or "cc"
    try:
        name, *options = shlex.split(given)
    except ValueError as error:  # an open quotation, or only spaces
        raise CannotCompile(f"CC={given!r} is no command") from error
    if not (path := shutil.which(name)):
        raise CannotCompile(f"no C compiler {name}")
    return [path, *options]


def _identity(compiler: str) -> tuple[str, int, int]:
    """Return what tells the compiler's file from another; to run it might hang."""
    path = Path(compiler).resolve()
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def _noted(note: Path) -> str:
    """Return why a compiler failed within the last day, if it did."""
    try:
        age = time.time() - note.stat().st_mtime
    except FileNotFoundError:
        return ""
    return note.read_text(errors="replace") if abs(age) < DAY else ""


def _file(source: Path, compiler: list[str]) -> Path:
    """Return the library's file, made if it is not there and whole."""
    # All that the compiler defines beforehand says which it is and for which processor it compiles.
    known = _run([*compiler, *FLAGS, "-dM", "-E", "-x", "c", os.devnull])
    name, folder = f"{source.stem}-{_key(source.read_bytes(), FLAGS, known)}", cache_folder()
    for file in sorted(folder.glob(f"{name}-*.so")):
        if _is_intact(file):
            return file
    with TemporaryDirectory(dir=folder, prefix=f".{name}-") as temporary:
        translated, linked = Path(temporary, "code.o"), Path(temporary, "code.so")
        _run([*compiler, *FLAGS, "-c", str(source), "-o", str(translated)])
        # Without -fopenmp no OpenMP is linked: its names are found in the one that PyTorch loaded.
        _run([*compiler, "-shared", str(translated), "-lm", "-o", str(linked)])
        linked.chmod(0o700)
        file = folder / f"{name}-{file_digest(linked)}.so"
        linked.replace(file)
    return file


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _load(file: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(file))
    except OSError as error:
        raise CannotCompile(f"what was compiled cannot be loaded ({error})") from error


def _is_intact(file: Path) -> bool:
    """Whether the user wrote the file, and its contents are those that its name tells."""
    return _is_own(file.lstat(), stat.S_IFREG, forbidden=0o022) and file.stem.endswith(
        f"-{file_digest(file)}"
    )


def _is_own(status: os.stat_result, kind: int, forbidden: int) -> bool:
    kinds = stat.S_IFMT(status.st_mode) == kind
    return kinds and status.st_uid == os.getuid() and not status.st_mode & forbidden


def _run(command: list[str]) -> bytes:
    """Return what a command of the compiler's prints.

    Raises:
        CannotCompile: it cannot be started, fails, or takes too long.
    """
    name = Path(command[0]).name
    # Into files: a pipe would also wait for what the command leaves behind, as sccache its server.
    with TemporaryFile() as out, TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # so that what it starts ends with it
            )
        except OSError as error:
            raise CannotCompile(f"{name} cannot be started ({error.strerror})") from error
        try:
            process.wait(SECONDS)
        except BaseException as stop:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(stop, subprocess.TimeoutExpired):
                raise CannotCompile(f"{name} took more than {SECONDS:g} s") from stop
            raise
        out.seek(0)
        err.seek(0)
        if process.returncode:
            said = err.read().decode(errors="replace").strip().splitlines()
            why = said[0] if said else f"status {process.returncode}"
            raise CannotCompile(f"{name} failed: {why}")
        return out.read()
