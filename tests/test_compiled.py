"""C that is compiled at first use: what is kept, what is never loaded, what is done without."""

import ctypes
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deepres import compiled as module
from deepres.compiled import compiled

ANSWER = "int answer(void) { return 42; }\n"

needs_compiler = pytest.mark.skipif(
    subprocess.run(["sh", "-c", "command -v cc"], capture_output=True).returncode != 0,
    reason="no C compiler",
)


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
    ("script", "why"),
    [
        (None, "no C compiler absent-cc (No such file or directory)"),
        ("echo out of licences >&2; echo more >&2; exit 3", "odd-cc failed: out of licences"),
        ("exit 3", "odd-cc failed: status 3"),
        ("sleep 600 & wait", "odd-cc took more than 0.5 s"),
    ],
)
def test_a_compiler_that_is_not_there_fails_or_hangs(
    script: str | None,
    why: str,
    make: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.5)
    monkeypatch.setenv("CC", compiler(tmp_path, script) if script else "absent-cc")
    assert make() == why


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
        for _ in range(4)
    ]
    said = {process.communicate()[0] for process in started}
    assert {process.returncode for process in started} == {0}
    (line,) = said
    name, one_openmp, _ = line.split()
    assert libraries(tmp_path) == [Path(name)]
    assert one_openmp == "True"
