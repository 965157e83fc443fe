import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deepres.cli.main import main
from deepres.cli.options.completion import SHELLS

ASK = """
source "$1"
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
$(complete -p deepres | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does when Tab is pressed after the last word."""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "deepres"
    command = [sys.executable, "-m", "deepres", "completion", "bash"]
    path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return path


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["tra"], {"train"}),
        (["detect", ""], {"train", "evaluate", "predict"}),
        (["data", "imagenet", "ver"], {"verify"}),
        (["train", "--reco"], {"--recompute"}),
        (["train", "resnet10"], {"resnet101"}),
        (["import", "vgg"], {"vgg16", "vgg19"}),
        (["predict", "resnet15"], {"resnet152"}),
        (["evaluate", "resnet20", "--views", ""], {"1-crop", "10-crop", "multi-scale"}),
        (["train", "--epo"], set()),  # it is understood, not advised
    ],
)
def test_bash_completes(script: Path, words: list[str], offered: set[str], tmp_path: Path) -> None:
    command = ["bash", "--norc", "-c", ASK, "bash", str(script), "deepres", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert set(done.stdout.split()) == offered
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["predict", "mine"], "mine.safetensors"),
        (["train", "--recipe", "mine"], "mine.safetensors"),
        (["data", "imagenet", "prepare", "arch"], "archives"),
    ],
)
def test_bash_completes_paths(script: Path, words: list[str], offered: str, tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").touch()
    (tmp_path / "archives").mkdir()
    command = ["bash", "--norc", "-c", ASK, "bash", str(script), "deepres", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == [offered]


@pytest.mark.parametrize("shell", SHELLS)
def test_there_is_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    shown = capsys.readouterr().out
    assert "resnet1202" in shown
    assert "multi-scale" in shown


def test_without_the_library_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'deepres[completion]'" in capsys.readouterr().err
