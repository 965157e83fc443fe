import json
import subprocess
import sys
from pathlib import Path

import pytest

from deepres.errors import UserError
from deepres.files import atomic_write, read_json, visible, write_json
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


def test_unreadable_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match=r"cannot read .*b\.json: No such file"):
        read_json(tmp_path / "b.json")


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
    assert visible(tmp_path, "*.xml") == [tmp_path / "a.xml", tmp_path / "b.xml"]
    assert visible(tmp_path / "nowhere", "*.xml") == []
