"""deepres app's mistakes; what it does is in tests/app."""

import socket
import sys
from pathlib import Path

import pytest
import torch
from made_up_runs import make_run

from deepres.cli.main import main
from deepres.models.weights import LOCALIZER, write_weights

CPU = ("--device", "cpu")


def test_a_missing_package_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.delitem(sys.modules, "deepres.app.server", raising=False)
    assert main(["app", *CPU]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "deepres: the page needs the package flask; run: pip install 'deepres[app]'"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("empty.safetensors", "empty.safetensors is damaged or no safetensors file"),
        ("box.safetensors", "box.safetensors holds a localizer, and a classifier is asked for"),
        ("run", "run has no model.safetensors yet; finish it: deepres train --resume run"),
        ("--port 70000", "--port must be from 0 to 65535, got 70000"),
        ("--host 256.1.1.1 --port 0", "cannot listen on 256.1.1.1, port 0"),
        ("--weights msra resnet20", "msra has no weights of resnet20"),
    ],
)
def test_mistakes_get_one_line(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("flask", reason="needs Flask: pip install flask")
    monkeypatch.chdir(tmp_path)
    Path("empty.safetensors").write_bytes(b"")
    write_weights(Path("box.safetensors"), {"a": torch.zeros(1)}, {LOCALIZER: {}})
    make_run(Path("run"), stopped_at=9_600)
    assert main(["app", *words.split(), *CPU]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("flask", reason="needs Flask: pip install flask")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["app", "--port", str(port), *CPU]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"port {port}: Address already in use; choose another by --port" in line
