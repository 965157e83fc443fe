import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from deepres.cli.picture_files import save_drawn
from deepres.errors import UserError
from deepres.files import (
    atomic_write,
    check_ours,
    check_writable,
    not_hidden,
    read_json,
    write_json,
)
from deepres.models.weights import write_weights
from deepres.report.page import write_page
from deepres.report.pictures import save_picture
from deepres.report.render import FORMS, Table, save_table
from deepres.run_folder import RunFolder


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError), atomic_write(path) as file:
        file.writelines([b"half", "not bytes"])
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_the_replaced_file_can_be_kept(tmp_path: Path) -> None:
    path, previous = tmp_path / "new", tmp_path / "old"
    for content in (b"1", b"2", b"3"):
        with atomic_write(path, previous=previous) as file:
            file.write(content)
    assert (path.read_bytes(), previous.read_bytes()) == (b"3", b"2")


def test_a_write_that_the_system_refuses_is_one_clear_line(tmp_path: Path) -> None:
    # The system's own limit on a file's size: the write itself fails, as on a full disk.
    program = """
import resource, signal, sys
from pathlib import Path
from deepres.files import write_json
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
write_json(path, "old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_json(path, "x" * 100_000)
except Exception as error:
    print(type(error).__name__, error)
"""
    path = tmp_path / "a.json"
    command = [sys.executable, "-c", program, str(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.startswith(f"UserError cannot write {path}: File too large; what was saved")
    assert json.loads(path.read_text()) == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 300, "File name too long; choose a shorter name"),
        ("file/a.json", "File exists; what should be its folder is a file; choose another name"),
        ("file/b/a.json", "Not a directory; what should be its folder is a file; choose another"),
        ("folder", "Is a directory; that is a folder; choose another name"),
    ],
)
def test_a_name_that_nothing_can_have_is_told_from_a_full_disk(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as refused:
        write_json(tmp_path / name, "new")
    assert str(refused.value).startswith(f"cannot write {tmp_path / name}: {message}")


@pytest.mark.parametrize("name", ["run", "runs/run", "file", "file/run", "/proc/nowhere/run"])
def test_whether_a_folder_can_be_made_is_known_beforehand(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    if name in ("run", "runs/run"):
        check_writable(tmp_path / name)
    else:
        with pytest.raises(UserError, match=f"cannot write {tmp_path / name}: "):
            check_writable(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_unreadable_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match=r"cannot read .*b\.json: No such file"):
        read_json(tmp_path / "b.json")


def test_what_may_not_be_read_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*asked: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    file = tmp_path / "recipe.json"
    file.touch()
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(UserError) as refused:
        read_json(file)
    assert str(refused.value).startswith(f"cannot read {file}: Permission denied; mend its perm")


def test_no_write_follows_a_link_that_was_laid(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "a.json").symlink_to(theirs)
    write_json(tmp_path / "a.json", "ours")  # the link is replaced, not what it leads to
    assert theirs.read_text() == "theirs"
    beside = set()
    for _ in range(3):
        with atomic_write(tmp_path / "b") as file:
            beside.add(file.name)
    assert len(beside) == 3  # so that nobody can know them beforehand
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.metrics.symlink_to(theirs)
    with pytest.raises(UserError, match=r"cannot write .*metrics\.jsonl"):
        folder.append_event({"step": 1})
    assert theirs.read_text() == "theirs"
    theirs.unlink()
    with pytest.raises(UserError, match=r"has metrics\.jsonl of an earlier run"):
        folder.check_absent()


def test_hidden_files_are_not_visible(tmp_path: Path) -> None:
    for name in ("b.xml", "a.xml", "._a.xml", ".b.xml", "c.txt"):
        (tmp_path / name).touch()
    assert not_hidden(tmp_path, "*.xml") == [tmp_path / "a.xml", tmp_path / "b.xml"]
    assert not_hidden(tmp_path / "nowhere", "*.xml") == []


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.pdf"])
def test_pictures_are_told_to_be_ours(tmp_path: Path, name: str) -> None:
    check_ours(save_picture(Figure(), tmp_path / name))


@pytest.mark.parametrize("form", FORMS)
def test_tables_are_told_to_be_ours(tmp_path: Path, form: str) -> None:
    check_ours(save_table(Table("a title", ["a"], [["b"]]), tmp_path / f"a{form}"))


def test_drawn_photographs_pages_and_weights_are_told_to_be_ours(tmp_path: Path) -> None:
    drawn, page, weights = tmp_path / "a.png", tmp_path / "a.html", tmp_path / "a.safetensors"
    save_drawn(Image.new("RGB", (3, 2)), drawn)
    write_page(page, [])
    for path in (drawn, page):
        check_ours(path)
    for _ in range(8):  # safetensors keeps no order of its notes
        write_weights(weights, {"a": torch.ones(2)}, {"classes": ["{a}", 'b"']})
        check_ours(weights)


@pytest.mark.parametrize(
    "theirs",
    [
        b"my own notes on deepres\n",
        b"<!doctype html>\n<title>what deepres has found</title>",
        b"not written by deepres\n",
        b"a table\nwritten by deepres\n",
        b'{"title": "deepres", "deepres": "0.1"}',
        b'<?xml version="1.0"?><svg><title>deepres</title></svg>',
        b"\x89PNG\r\n\x1a\ntEXtTitle\0deepres",
    ],
)
def test_what_only_speaks_of_us_is_not_ours(tmp_path: Path, theirs: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(theirs)
    with pytest.raises(UserError, match="was not written by deepres"):
        check_ours(path)
