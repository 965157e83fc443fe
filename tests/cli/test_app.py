"""deepres app's mistakes and addresses; what it does is in tests/app."""

import http.client
import socket
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from made_up_runs import make_run

from deepres.cli.main import main
from deepres.models.weight_kinds import LOCALIZER
from deepres.models.weights import write_weights

CPU = ("--device", "cpu")


def test_a_missing_package_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "flask", None)
    assert main(["app", *CPU]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "deepres: the page needs the package flask; run: pip install 'deepres[app]'"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("empty.safetensors", "empty.safetensors is damaged or no safetensors file"),
        ("box.safetensors", "holds a localization network, and a classifier is asked for: give"),
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


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("127.0.0.1", "127.0.0.1"),
        pytest.param(
            *("::1", "[::1]"), marks=pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")
        ),
    ],
)
def test_it_answers_at_the_address_that_it_shows(
    host: str, named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serving = pytest.importorskip("werkzeug.serving", reason="needs Flask: pip install flask")
    made: list[Any] = []
    make_server, answers = serving.make_server, []

    def make(*given: Any, **more: Any) -> Any:
        made.append(make_server(*given, **more))
        monkeypatch.setattr(made[0], "serve_forever", serve)
        return made[0]

    def serve() -> None:
        """Answer two requests."""
        asking = Thread(target=ask)
        asking.start()
        for _ in range(2):
            made[0].handle_request()
        made[0].server_close()
        asking.join()

    def ask() -> None:
        for name in (f"{named}:{made[0].port}", "example.org"):
            connection = http.client.HTTPConnection(host, made[0].port, timeout=60)
            connection.request("GET", "/", headers={"Host": name})
            answers.append(connection.getresponse().status)
            connection.close()

    monkeypatch.setattr(serving, "make_server", make)
    assert main(["app", "--host", host, "--port", "0", *CPU]) == 0
    assert answers == [200, 400]
    shown = capsys.readouterr()
    assert shown.out == f"http://{named}:{made[0].port} (Ctrl-C ends it)\n"
    assert shown.err == ""
