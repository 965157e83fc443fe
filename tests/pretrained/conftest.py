"""A server on this machine in place of the addresses of published weights."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deepres.data.cifar10 import Cifar10


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        server: Any = self.server
        path = self.path.partition("?")[0]
        server.requests.append((self.command, path, self.headers.get("Range")))
        if path not in server.files:
            self.send_error(404, headers=None)
            return
        content, headers = server.files[path]
        start = 0
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        for key, value in {"Content-Length": str(len(content) - start), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            part = content[start:]
            self.wfile.write(part[: server.breaks.pop(0)] if server.breaks else part)

    def send_error(self, code: int, message: str | None = None, **_: object) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


class Server(http.server.ThreadingHTTPServer):
    """Files by path, each with more headers; ``breaks`` are the lengths after which to hang up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.breaks: list[int] = []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch.hub keeps its own, in this test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("torch.hub._hub_dir", None)
    return tmp_path / "torch/hub"


@pytest.fixture
def images(sample: Cifar10) -> Tensor:
    """Two images of 64 pixels, uint8."""
    return torch.nn.functional.interpolate(sample.test.images[:2], size=(64, 64))
