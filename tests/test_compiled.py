"""C that is compiled at first use: what is kept, what is never loaded, what is done without."""

import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deepres import compiled as module
from deepres.compiled import compiled

ANSWER = "int answer(void) { return 42; }\n"

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], ctypes.CDLL | str]:
    """Compile a small source as a fresh process would, with a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    source = tmp_path / "small.c"
    source.write_text(ANSWER)
    return lambda: compiled.__wrapped__(source)


def libraries(folder: Path) -> list[Path]:
    return sorted((folder / "deepres").iterdir())


def replace(file: Path, contents: bytes) -> None:
    """Write another file of this name; the one that is loaded stays as it is."""
    file.unlink()
    file.write_bytes(contents)
    file.chmod(0o700)


@needs_compiler
def test_it_is_compiled_once_and_kept_for_the_user_alone(
    make: Callable[[], ctypes.CDLL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make().answer() == 42
    (file,) = libraries(tmp_path)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    commands: list[list[str]] = []
    run = module._run
    monkeypatch.setattr(module, "_run", lambda command: commands.append(command) or run(command))
    assert make().answer() == 42
    assert [command for command in commands if "-E" not in command] == []
    assert libraries(tmp_path) == [file]


@needs_compiler
def test_another_source_or_compiler_is_another_library(
    make: Callable[[], ctypes.CDLL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    (tmp_path / "small.c").write_text(ANSWER.replace("42", "43"))
    assert make().answer() == 43
    monkeypatch.setenv("CC", "cc -DOTHER")
    assert make().answer() == 43
    assert len(libraries(tmp_path)) == 3


@needs_compiler
@pytest.mark.parametrize("damage", ["cut", "another", "writable by others", "a link"])
def test_what_its_name_does_not_confirm_is_never_loaded(
    damage: str, make: Callable[[], ctypes.CDLL], tmp_path: Path
) -> None:
    (tmp_path / "small.c").write_text(ANSWER.replace("42", "666"))
    assert make().answer() == 666
    another = libraries(tmp_path)[0]
    (tmp_path / "small.c").write_text(ANSWER)
    assert make().answer() == 42
    (file,) = set(libraries(tmp_path)) - {another}
    whole = file.read_bytes()
    if damage == "cut":
        replace(file, whole[: len(whole) // 2])
    elif damage == "another":
        replace(file, another.read_bytes())
    elif damage == "writable by others":
        file.chmod(0o722)
    else:
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    assert make().answer() == 42
    assert file.read_bytes() == whole
    assert not file.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o700


def compiler(folder: Path, script: str) -> str:
    path = folder / "odd-cc"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "seconds", "why"),
    [
        ("echo out of licences >&2; echo more >&2; exit 3", 60.0, "failed: out of licences"),
        ("exit 3", 60.0, "failed: status 3"),
        ("sleep 600 & wait", 0.1, "took more than 0.1 s"),
    ],
)
def test_a_compiler_that_fails_or_hangs_is_left_alone_for_a_day(
    script: str,
    seconds: float,
    why: str,
    make: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CC", compiler(tmp_path, script))
    monkeypatch.setattr(module, "SECONDS", seconds)
    commands: list[list[str]] = []
    run = module._run
    monkeypatch.setattr(module, "_run", lambda command: commands.append(command) or run(command))

    def asked() -> int:
        """How often the compiler was, since the last time."""
        count = len(commands)
        commands.clear()
        return count

    said = make()
    (note,) = libraries(tmp_path)
    assert said == f"odd-cc {why}; to try again before tomorrow remove {note}"
    assert asked() == 1
    assert make() == said
    assert asked() == 0
    day_old = time.time() - module.DAY
    os.utime(note, (day_old, day_old))
    assert make() == said
    assert asked() == 1
    note.unlink()
    assert make() == said
    assert asked() == 1
    note.write_text("")  # cut
    assert make() == said
    assert asked() == 1
    (tmp_path / "small.c").write_text(f"{ANSWER}\n")  # another source
    assert make().startswith(f"odd-cc {why}")
    assert asked() == 1
    compiler(tmp_path, f"{script}  # mended")  # another compiler
    assert make().startswith(f"odd-cc {why}")
    assert asked() == 1


@needs_compiler
def test_a_mended_compiler_is_asked_at_once(
    make: Callable[[], ctypes.CDLL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler(tmp_path, "exit 3"))
    assert str(make()).startswith("odd-cc failed")
    compiler(tmp_path, f'exec {shutil.which("cc")} "$@"')
    assert make().answer() == 42


def test_processes_that_start_together_wait_together_and_later_ones_not_at_all(
    tmp_path: Path,
) -> None:
    """As torchrun's do, and then those of the next command."""
    calls = tmp_path / "calls"
    program = f"""
from pathlib import Path
from deepres import compiled
compiled.SECONDS = 1.0
print(compiled.compiled(Path({str(tmp_path / "small.c")!r})))
"""
    (tmp_path / "small.c").write_text(ANSWER)
    calls.touch()
    command = compiler(tmp_path, f"echo >> {calls}; sleep 600")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "CC": command}

    def say(processes: int) -> set[str]:
        started = [
            subprocess.Popen(
                [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
            )
            for _ in range(processes)
        ]
        return {process.communicate()[0] for process in started}

    (said,) = say(3)
    assert said.startswith("odd-cc took more than 1 s; ")
    asked = calls.read_text()
    assert say(2) == {said}
    assert calls.read_text() == asked


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("absent-cc", "no C compiler absent-cc"),
        ("'cc", """CC="'cc" is no command"""),
        (" ", "CC=' ' is no command"),
    ],
)
def test_without_a_compiler_nothing_is_noted(
    given: str, why: str, make: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", given)
    assert make() == why
    assert not (tmp_path / "deepres").exists()


def test_what_cannot_be_started_is_said(
    make: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = compiler(tmp_path, "")
    Path(command).write_bytes(b"\x7fELF")
    monkeypatch.setenv("CC", command)
    assert make().startswith("odd-cc cannot be started (Exec format error); ")


@needs_compiler
def test_what_a_compiler_leaves_running_is_not_waited_for(
    make: Callable[[], ctypes.CDLL], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiler's cache may start a server that holds its output open."""
    pid = tmp_path / "pid"
    server = f"test -e {pid} || {{ sleep 600 & echo $! > {pid}; }}"
    monkeypatch.setattr(module, "SECONDS", 20.0)
    monkeypatch.setenv("CC", compiler(tmp_path, f'{server}; exec {shutil.which("cc")} "$@"'))
    try:
        assert make().answer() == 42
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_user_without_a_home_folder(
    make: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler(tmp_path, "exit 3"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert make() == "there is no home folder; set XDG_CACHE_HOME"


@needs_compiler
def test_a_compiler_that_writes_nonsense(
    make: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = 'for last; do :; done; echo nonsense > "$last"'
    monkeypatch.setenv("CC", compiler(tmp_path, last))
    assert make().startswith("what was compiled cannot be loaded (")


@needs_compiler
def test_a_cache_that_cannot_be_written_or_is_not_private(
    make: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deepres"
    folder.mkdir(mode=0o700)
    folder.chmod(0o750)
    assert make() == f"{folder} is not private: chmod 700, or remove it"
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    assert make() == f"{folder} is not private: chmod 700, or remove it"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "small.c"))
    assert make() == "Not a directory"
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert make() == "No such file or directory"


@needs_compiler
def test_processes_that_start_together_make_one_library_and_share_pytorchs_openmp(
    tmp_path: Path,
) -> None:
    program = """
import re, sys, torch
from pathlib import Path
from deepres.models.batch_norm_cpu import batch_norm_relu, library
y = batch_norm_relu(torch.nn.BatchNorm2d(3), torch.arange(96.0).view(2, 3, 4, 4), None)
maps = Path("/proc/self/maps")
found = re.findall(r"\\S*lib[gi]?omp\\S*", maps.read_text()) if maps.exists() else []
print(library()._name, len(set(found)) <= 1, y.sum().item())
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = {process.communicate()[0] for process in started}
    assert {process.returncode for process in started} == {0}
    (line,) = said
    name, one_openmp, _ = line.split()
    assert libraries(tmp_path) == [Path(name)]
    assert one_openmp == "True"
