"""Pipes, files and terminals: what is printed may be lost, what was worked for is not."""

import io
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from deepres.cli import running
from deepres.cli.main import PIPE_CLOSED, main
from deepres.cli.streams import OutputLost, one_line
from deepres.cli.terminal import print_table
from deepres.progress import Progress

DEEPRES = [sys.executable, "-m", "deepres"]
RUN = ["train", "resnet8", "--data", "sample", "--device", "cpu", "--out", "run"]
SHORT = ["--steps", "2", "--set", "batch_size=8"]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}


class Gone(io.StringIO):
    """Standard output that nobody reads any more."""

    def write(self, text: str) -> int:
        raise OutputLost from BrokenPipeError()

    def flush(self) -> None:
        raise OutputLost from BrokenPipeError()


def test_a_run_outlives_whoever_hears_of_it(tmp_path: Path) -> None:
    """Standard output is closed, and standard error a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    command = f"exec {' '.join([*DEEPRES, *RUN, *SHORT])} >&-"
    done = subprocess.run(
        command, shell=True, stderr=writer, cwd=tmp_path, env=environment(), check=False
    )
    os.close(writer)
    assert done.returncode == 0
    assert (tmp_path / "run/result.json").exists()
    assert (tmp_path / "run/curves.png").exists()
    # Nothing that was meant for the closed stream is in a file that took its number.
    assert all(b"test error" not in path.read_bytes() for path in (tmp_path / "run").iterdir())


def test_what_is_asked_for_is_saved_before_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr("deepres.cli.main.drop_output", lambda: None)  # the test's own
    assert main([*RUN, *SHORT]) == PIPE_CLOSED
    assert main(["evaluate", "run", "--save-scores", "s.npz", "--out", "p.svg"]) == PIPE_CLOSED
    assert main(["responses", "run", "--images", "8"]) == PIPE_CLOSED
    assert main(["signals", "run", "--images", "8"]) == PIPE_CLOSED
    assert main(["batchnorm", "run", "--images", "8", "--out", "b.safetensors"]) == PIPE_CLOSED
    assert main(["compare", "run", "run"]) == PIPE_CLOSED
    assert main(["reproduce", "table1", "--out", "drawn"]) == PIPE_CLOSED
    for name in (
        *("run/result.json", "s.npz", "p.svg", "run/responses.json", "run/signals.json"),
        *("b.safetensors", "compare.png", "drawn/table1.tex"),
    ):
        assert (tmp_path / name).exists(), name


def test_a_pipe_that_is_closed_is_no_mistake(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*DEEPRES, "models"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment(),
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (PIPE_CLOSED, b"")


def test_numbers_are_printed_even_if_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*RUN, *SHORT]) == 0
    for name in ("confusion.png", "responses.json", "signals.json", "model.batchnorm.safetensors"):
        (tmp_path / "run" / name / "in the way").mkdir(parents=True)
    for command, number in (
        ("evaluate run --out run/confusion.png", "airplane"),
        ("responses run --images 8", "3×3 layers"),
        ("signals run --images 8", "signals vanish"),
        ("batchnorm run --images 8 --out run/model.batchnorm.safetensors", "% before"),
    ):
        capsys.readouterr()
        assert main(command.split()) == 2
        shown = capsys.readouterr()
        assert number in shown.out
        (line,) = [li for li in shown.err.splitlines() if li.startswith("deepres: ")]
        assert "cannot write run/" in line


@pytest.mark.parametrize(
    "command",
    [
        *("evaluate gone --out file/p.png", "evaluate gone --save-scores file/s.npz"),
        *("evaluate gone --save-submission file/s.txt", "batchnorm gone --out file/b.safetensors"),
        *("signals gone --out file", "features gone gone --out file/f.npz"),
        *("bench gone --out file/b.json", "report --runs gone --out file/r.html"),
        "detect evaluate gone --save-submission file/s",
    ],
)
def test_where_nothing_can_be_written_no_work_begins(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert main(command.split()) == 2
    assert capsys.readouterr().err.startswith("deepres: cannot write file")


def test_an_ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    assert main(["models", "resnet20"]) == 0
    assert b"[3x3, 16; 3x3, 16]x3" in written.getvalue()
    print_table("± …", ["日本", "\udcff"], [["é", "−1"]])
    sys.stdout.flush()
    assert b"+- ..." in written.getvalue()
    assert b"\\u65e5\\u672c" in written.getvalue()


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"])
def test_a_row_is_a_line_in_a_pipe(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("COLUMNS", "40")
    names = ["/data/" + "long/" * 60 + f"run{i}" for i in range(3)]
    print_table("", ["run", "note", "error"], [[n, "x" * 200, "1.0"] for n in names], 2)
    print_table("", ["class\nname"], [["a\nb"]])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert len(lines) == 4 + 2
    for name, line in zip(names, lines[1:4], strict=True):
        assert line.split() == [name, "x" * 200, "1.0"]


def test_a_librarys_warning_is_a_line() -> None:
    text = one_line(UserWarning("it\nis \x1b[2J so"), UserWarning, "/lib/a.py", 3)
    assert text == "deepres: warning: it is \\x1b[2J so\n"


def test_progress_without_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with Progress("train", 2) as bar:
        bar.update(2)


def test_a_disk_that_is_full_is_named() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*DEEPRES, "models"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "deepres: cannot write standard output: No space left on device\n"


ORPHAN = """
import os, signal, sys, time
os.environ["TORCHELASTIC_RUN_ID"] = "x"
from deepres.cli.running import stop_without_parent
from deepres.training.interrupt import stop_on_signals
stop_without_parent()
with stop_on_signals() as stop:
    print(os.getpid(), flush=True)
    while not stop.signal_number:
        time.sleep(0.05)
print("saved", flush=True)
"""
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
time.sleep(600)
"""


@pytest.mark.slow
def test_processes_whose_torchrun_is_killed_save_and_stop() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, ORPHAN],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    try:
        assert parent.stdout.readline() == "saved\n"
    finally:
        parent.stdout.close()
        parent.wait()
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_only_torchruns_processes_end_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watched: list[bool] = []
    monkeypatch.setattr(running, "stop_without_parent", lambda: watched.append(True))
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert main(["models", "resnet8"]) == 0
    assert not watched
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert main(["models", "resnet8"]) == 0
    assert watched == [True]
