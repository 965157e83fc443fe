import subprocess
import sys
from pathlib import Path

import pytest

from deepres.errors import UserError
from deepres.run_folder import RunFolder


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check_absent()
    folder.write_meta({"seed": 0})
    assert folder.read_meta() == {"seed": 0}
    with pytest.raises(UserError, match="already holds a run; go on with it by --resume"):
        folder.check_absent()


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run folder"):
        RunFolder(tmp_path).read_meta()


def test_rewinding_drops_what_will_be_logged_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (10, 20, 20, 30):
        folder.append_event({"step": step})
    with folder.metrics.open("a") as file:
        file.write('{"step": 4')  # cut by a kill
    assert [event["step"] for event in folder.read_events()] == [10, 20, 20, 30]
    assert folder.sync_events() == 4
    folder.rewind_events(3)
    assert folder.metrics.read_text() == '{"step": 10}\n{"step": 20}\n{"step": 20}\n'
    with pytest.raises(UserError, match="has 3 events, but the run had logged 5 when it was saved"):
        folder.rewind_events(5)


def test_damaged_metrics_are_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics.write_text('{"step": 10}\nrubbish\n{"step": 20}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl is damaged"):
        folder.read_events()


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_one_process_at_a_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    program = f"""
import subprocess
import sys
from pathlib import Path
from deepres.run_folder import RunFolder
with RunFolder(Path({str(folder.path)!r})).locked(): print("locked")
"""
    command = [sys.executable, "-c", program]
    with folder.locked():
        (folder.path / ".checkpoint.pt.123.tmp").touch()
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another process is training in" in other.stderr
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert other.stdout == "locked\n"
    assert list(folder.path.iterdir()) == []  # what a kill left half-written is gone
