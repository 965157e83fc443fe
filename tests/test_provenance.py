import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import deepres
from deepres.provenance import provenance


def test_it_says_what_a_number_depends_on() -> None:
    found = provenance(torch.device("cpu"))
    assert found["torch"] == torch.__version__
    assert found["device"] == "cpu"
    count = torch.get_num_threads()
    assert found["hardware"].endswith(f", {count} thread" if count == 1 else f", {count} threads")


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_copy_inside_another_checkout_does_not_take_its_commit(tmp_path: Path) -> None:
    shutil.copytree(
        Path(deepres.__file__).parent, tmp_path / "deepres", ignore=lambda *_: ["sample"]
    )
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    program = "import torch, deepres.provenance as p; print(p.provenance(torch.device('cpu')))"
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "'commit': 'unknown'" in answer.stdout


def test_a_copy_is_told_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPRES_COMMIT", "0123456789ab")
    assert provenance(torch.device("cpu"))["commit"] == "0123456789ab"
