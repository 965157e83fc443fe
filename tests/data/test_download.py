"""Downloads from a real server on this machine, which can break off on demand."""

import errno
import hashlib
import http.server
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepres.data import download as module
from deepres.data.download import DownloadError, download
from deepres.errors import UserError

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        server.requests.append(self.headers.get("Range"))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = 0
        if server.resumes and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(CONTENT):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        part = CONTENT[start:]
        self.wfile.write(part[: server.breaks.pop(0)] if server.breaks else part)

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{server.server_port}/file.bin"
    server.requests, server.breaks, server.resumes = [], [], True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_arrives_once(server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.bin"
    for _ in range(2):
        download(server.url, path, "sha256", SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests == [None]
    assert list(path.parent.iterdir()) == [path]


def test_a_file_takes_its_name_once_it_is_on_the_disk(
    server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "file.bin", []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(path.exists()))
    download(server.url, path, "sha256", SHA256)
    assert synced[0] is False  # the file itself, then the folder


def test_a_broken_connection_is_resumed_within_a_call(server, tmp_path: Path) -> None:
    server.breaks = [1_000_000, 500_000]
    download(server.url, tmp_path / "file.bin", "sha256", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_broken_download_is_resumed_by_the_next_call(
    server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    path = tmp_path / "file.bin"
    server.breaks = [2_000_000]
    with pytest.raises(DownloadError, match="2,000,000 of 3,000,000 bytes"):
        download(server.url, path, "sha256", SHA256)
    assert not path.exists()
    assert (tmp_path / "file.bin.part").stat().st_size == 2_000_000
    download(server.url, path, "sha256", SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests == [None, "bytes=2000000-"]


def test_a_server_that_cannot_resume_starts_again(server, tmp_path: Path) -> None:
    server.resumes = False
    (tmp_path / "file.bin.part").write_bytes(b"something else")
    download(server.url, tmp_path / "file.bin", "sha256", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_complete_part_is_accepted(server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "file.bin", "sha256", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_damaged_file_is_fetched_again(server, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1])
    download(server.url, tmp_path / "file.bin", "sha256", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_network_failure_is_not_taken_for_a_full_disk(
    server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*arguments: object, **options: object) -> None:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr("http.client.HTTPResponse.read", unreachable)
    with pytest.raises(DownloadError, match="No route to host"):
        download(server.url, tmp_path / "file.bin", "sha256", SHA256)


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(UserError, match="cannot write /proc/nowhere: No such file"):
        download("http://127.0.0.1:9/a", Path("/proc/nowhere/a"), "sha256", SHA256)


def test_wrong_content_is_discarded(server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"sha256 {SHA256}, expected 00; discarded"):
        download(server.url, tmp_path / "file.bin", "sha256", "00")
    assert list(tmp_path.iterdir()) == []


def test_the_beginning_of_a_checksum_is_checked_as_far_as_it_goes(server, tmp_path: Path) -> None:
    download(server.url, tmp_path / "file.bin", "sha256", SHA256[:8])
    download(server.url, tmp_path / "file.bin", "sha256", "")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.requests == [None]
    with pytest.raises(DownloadError, match="discarded"):
        download(server.url, tmp_path / "b", "sha256", SHA256[1:8])
    download(server.url, tmp_path / "b", "sha256", "")  # none is known
    assert (tmp_path / "b").read_bytes() == CONTENT


def test_a_refusal_is_final(server, tmp_path: Path) -> None:
    url = server.url.replace("file.bin", "missing")
    with pytest.raises(DownloadError, match="the server answers 404"):
        download(url, tmp_path / "file.bin", "sha256", SHA256)
    assert len(server.requests) == 1


def test_an_absent_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="Connection refused"):
        download("http://127.0.0.1:9/file.bin", tmp_path / "file.bin", "sha256", SHA256)


def test_no_link_is_followed(server, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    (tmp_path / "file.bin.part").symlink_to(theirs)
    with pytest.raises(UserError, match=r"file\.bin\.part"):
        download(server.url, tmp_path / "file.bin", "sha256", SHA256)
    assert theirs.read_bytes() == b"theirs"
