from pathlib import Path

import pytest

from deepres.errors import UserError
from deepres.run_folder import RunFolder


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create({"seed": 0})
    assert folder.read_meta() == {"seed": 0}
    with pytest.raises(UserError, match="already holds a run; go on with it by --resume"):
        folder.create({"seed": 1})


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
    folder.rewind_events(20)
    assert folder.metrics.read_text() == '{"step": 10}\n{"step": 20}\n{"step": 20}\n'
