"""C that the system's compiler compiles at first use, and the user's cache keeps."""

import ctypes
import hashlib
import os
import shlex
import signal
import stat
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC")
SECONDS = 60.0
"""The most that the compiler may take; a busy machine needs some."""


class CannotCompile(Exception):
    """There is no library, for the reason that the message names."""


@cache
def compiled(source: Path) -> ctypes.CDLL | str:
    """Return the library made of a C file, or why there is none; a process tries once.

    OpenMP's threads are those that PyTorch has.
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
    folder = (given if given.is_absolute() else Path("~/.cache").expanduser()) / "deepres"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_own(folder.lstat(), stat.S_IFDIR, forbidden=0o077):
        raise CannotCompile(f"{folder} is not private: chmod 700, or remove it")
    return folder


def _library(source: Path) -> ctypes.CDLL:
    if os.name != "posix":
        raise CannotCompile(f"no C is compiled on {os.name}")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    code = source.read_bytes()
    # All that the compiler defines beforehand says which it is and for which processor it compiles.
    known = _run([*compiler, *FLAGS, "-dM", "-E", "-x", "c", os.devnull])
    key = hashlib.sha256(repr((code, FLAGS, known)).encode()).hexdigest()[:16]
    name, folder = f"{source.stem}-{key}", cache_folder()
    for file in sorted(folder.glob(f"{name}-*.so")):
        if _is_intact(file):
            return _load(file)
    with TemporaryDirectory(dir=folder, prefix=f".{name}-") as temporary:
        translated, linked = Path(temporary, "code.o"), Path(temporary, "code.so")
        _run([*compiler, *FLAGS, "-c", str(source), "-o", str(translated)])
        # Without -fopenmp no OpenMP is linked: its names are found in the one that PyTorch loaded.
        _run([*compiler, "-shared", str(translated), "-lm", "-o", str(linked)])
        linked.chmod(0o700)
        file = folder / f"{name}-{_digest(linked)}.so"
        linked.replace(file)
    return _load(file)


def _load(file: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(file))
    except OSError as error:
        raise CannotCompile(f"what was compiled cannot be loaded ({error})") from error


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_intact(file: Path) -> bool:
    """Whether the user wrote the file, and its contents are those that its name tells."""
    return _is_own(file.lstat(), stat.S_IFREG, forbidden=0o022) and file.stem.endswith(
        f"-{_digest(file)}"
    )


def _is_own(status: os.stat_result, kind: int, forbidden: int) -> bool:
    kinds = stat.S_IFMT(status.st_mode) == kind
    return kinds and status.st_uid == os.getuid() and not status.st_mode & forbidden


def _run(command: list[str]) -> bytes:
    """Return what a command of the compiler's prints.

    Raises:
        CannotCompile: there is no such command, it fails, or it takes too long.
    """
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that what it starts ends with it
        )
    except OSError as error:
        raise CannotCompile(f"no C compiler {name} ({error.strerror})") from error
    try:
        out, err = process.communicate(timeout=SECONDS)
    except BaseException as stop:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(stop, subprocess.TimeoutExpired):
            raise CannotCompile(f"{name} took more than {SECONDS:g} s") from stop
        raise
    if process.returncode:
        said = err.decode(errors="replace").strip().splitlines() or [f"status {process.returncode}"]
        raise CannotCompile(f"{name} failed: {said[0]}")
    return out
