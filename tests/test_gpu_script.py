"""benchmarks/gpu.sh: what it trains comes back in files that are small enough."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks/gpu.sh"
SETTINGS = {"DEVICE": "cpu", "QUICK": "1", "DATA": "sample"}
NO_TRAINING = """#!/bin/sh
[ "$1" = - ] && exit
for name in a b c; do
    mkdir -p runs/$name
    head -c 300000 /dev/urandom >runs/$name/checkpoint.pt
    touch runs/$name/checkpoint.previous.pt
    [ $name = c ] || echo {} >runs/$name/result.json
done
"""

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "tar", "split", "timeout"))),
    reason="needs bash, tar, split and timeout",
)


def call(keep: Path, *arguments: str, python: Path | None = None, **settings: str) -> str:
    """Run the script; return what it prints."""
    folders = [str(python or Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, **SETTINGS, **settings, "PATH": os.pathsep.join(folders)}
    command = ["bash", str(SCRIPT), arguments[0], str(keep), *arguments[1:]]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def stand_in(folder: Path, text: str) -> Path:
    """A folder with a ``python3`` that trains nothing."""
    folder.mkdir()
    (folder / "python3").write_text(text)
    (folder / "python3").chmod(0o755)
    return folder


def unpacked(keep: Path, folder: Path) -> Path:
    """Unpack all runs as the script's head says."""
    command = f"cat {keep}/runs-*.tar.gz* | tar -xzi"
    folder.mkdir()
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)
    return folder / "runs"


@pytest.mark.slow
def test_a_run_comes_back_in_pieces(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    said = call(keep, "train", "600", "resnet8", FILE_LIMIT="100000")
    pieces = sorted(keep.glob("runs-*"))
    assert len(pieces) > 1, said
    assert max(piece.stat().st_size for piece in pieces) <= 100_000
    run = unpacked(keep, tmp_path / "here") / "resnet8-4steps-s0"
    assert {file.name for file in run.iterdir()} >= {"result.json", "model.safetensors"}
    assert not (run / "checkpoint.pt").exists()
    assert (keep / "train.log").read_text()


def test_runs_share_a_file_as_far_as_it_may_grow(tmp_path: Path) -> None:
    keep, python = tmp_path / "kept", stand_in(tmp_path / "bin", NO_TRAINING)
    for _ in range(2):
        call(keep, "train", "600", "one", python=python, FILE_LIMIT="250000")
    names = sorted(path.name for path in keep.glob("runs-*"))
    each = ["1.tar.gz", "2.tar.gz.00", "2.tar.gz.01"]
    assert names == [f"runs-{group}-{name}" for group in (1, 2) for name in each]
    runs = unpacked(keep, tmp_path / "here")
    found = {path.parent.name: path.name for path in runs.glob("*/*")}
    assert found == {"a": "result.json", "b": "result.json", "c": "checkpoint.pt"}


def test_a_group_that_fails_at_once_begins_again_on_slower_paths(tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    text = NO_TRAINING.replace("for", 'case "$*" in *convolutions*) ;; *) exit 1 ;; esac\nfor', 1)
    said = call(keep, "train", "600", "one", python=stand_in(tmp_path / "bin", text))
    assert [line for line in said.splitlines() if "one" in line] == [
        "FAILED with status 1: one ",
        "once more, with --no-fused-convolutions: one",
    ]
    assert (unpacked(keep, tmp_path / "here") / "a/result.json").exists()


@pytest.mark.parametrize(
    ("saved", "tries"), [("checkpoint.pt", 3), ("metrics.jsonl", 1), ("result.json", 1)]
)
def test_what_has_trained_does_not_begin_again(tmp_path: Path, saved: str, tries: int) -> None:
    text = f'[ "$1" = - ] && exit; mkdir -p runs/a; echo {{}} >runs/a/{saved}; exit 1'
    python = stand_in(tmp_path / "bin", f"#!/bin/sh\n{text}\n")
    said = call(tmp_path / "kept", "train", "600", "one", python=python)
    assert said.count("FAILED") == tries
    assert said.count("once more") == tries - 1


def test_too_much_to_come_back_is_said(tmp_path: Path) -> None:
    keep, python = tmp_path / "kept", stand_in(tmp_path / "bin", NO_TRAINING)
    assert "WARNING" not in call(keep, "train", "600", "one", python=python)
    for i in range(7):
        with (keep / f"{i}.log").open("w") as file:
            file.truncate((16 << 20) + (i == 3))
    *_, many, large = call(keep, "train", "600", "two", python=python).splitlines()
    assert many.startswith(f"WARNING: {keep} holds 11 files, more than 8: 0.log 1.log")
    assert large == "WARNING: above 16 MiB: ./3.log"
