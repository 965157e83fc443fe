"""Where the folders of runs lie, and what they are called."""

from pathlib import Path

import pytest

from deepres.run_places import place_beside, run_name


def test_long_settings_make_no_longer_name_than_a_file_system_takes(tmp_path: Path) -> None:
    drops = [f"lr_drops={','.join(map(str, range(1, last)))}" for last in (400, 401)]
    names = {
        *(run_name("resnet20", 9, 10, seed, [each]) for each in drops for seed in (0, 1)),
        run_name("resnet20", 9, 10, 0, ["train_set=" + 99 * "猫"]),
    }
    assert len(names) == 5
    for name in names:
        (tmp_path / f"signals-{name}.json").touch()
        assert name.startswith("resnet20-")
        assert "-9steps-s" in name


def test_what_cannot_be_written_to_is_added_to_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert place_beside(run, "responses.json") == run / "responses.json"
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    assert place_beside(run, "responses.json") == Path("run.responses.json")
