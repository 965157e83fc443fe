import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import PROVENANCE, make_detection_run, make_localization_run, whole_meta

from deepres.errors import UserError
from deepres.recipes import get_recipe
from deepres.run_folder import EVALUATIONS, OF_THE_WEIGHTS, RunFolder

META = whole_meta({**get_recipe("resnet20").scaled_to(20).to_dict(), "lr": 0.1})
RESULT = {
    **{"steps": 20, "test_error_pct": 82.5, "train_error_pct": 82.0},
    **{"training_s": 1.0, "provenance": PROVENANCE},
}


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check_absent()
    folder.write_meta(META)
    assert folder.read_meta() == META
    with pytest.raises(UserError, match="already holds a run; go on with it by --resume"):
        folder.check_absent()


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run folder"):
        RunFolder(tmp_path).read_meta()


def test_a_run_that_is_mistyped_is_looked_for_beside_it(tmp_path: Path) -> None:
    for name in ("resnet20-s0", "resnet20-s1", "notes"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    typed = tmp_path / "runs" / "resnet20s1"
    offered = f"{typed}: no such run folder; did you mean {tmp_path / 'runs' / 'resnet20-s1'}?"
    with pytest.raises(UserError) as error:
        RunFolder(typed).read_meta()
    assert str(error.value) == offered


def test_rewinding_drops_what_will_be_logged_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (10, 20, 20, 30):
        folder.append_event({"step": step, "split": "train"})
    with folder.metrics.open("a") as file:
        file.write('{"step": 4')  # cut by a kill
    assert [event["step"] for event in folder.read_events()] == [10, 20, 20, 30]
    count, digest = folder.sync_events()
    assert count == 4
    folder.check_events(count, digest)
    folder.rewind_events(3)
    assert [event["step"] for event in folder.read_events()] == [10, 20, 20]
    with pytest.raises(UserError, match="has 3 events, but the run had logged 5 when it was saved"):
        folder.check_events(5, None)


def test_what_json_cannot_say_is_null(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_event({"step": 1, "split": "test", "loss": float("inf")})
    assert folder.metrics.read_text() == '{"step": 1, "split": "test", "loss": null}\n'
    with folder.metrics.open("a") as file:
        file.write('{"step": 2, "split": "test", "loss": NaN}\n')  # as it was once written
    assert [event["loss"] for event in folder.read_events()] == [None, None]
    folder.write_meta({**META, "deviations": {"lr": float("nan")}})
    assert folder.read_meta()["deviations"] == {"lr": None}  # and no edit


def test_damaged_metrics_are_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics.write_text('{"step": 10, "split": "test"}\nrubbish\n{"step": 20}\n')
    with pytest.raises(UserError, match=r"line 2 of .*metrics\.jsonl is not valid JSON"):
        folder.read_events()


@pytest.mark.parametrize(
    "left",
    [
        *("metrics.jsonl", "checkpoint.pt", "checkpoint.previous.pt", "checkpoint.pt.damaged"),
        *("model.safetensors", "result.json", "evaluations.json"),
    ],
)
def test_no_run_begins_among_what_is_left_of_another(tmp_path: Path, left: str) -> None:
    (tmp_path / left).touch()
    with pytest.raises(UserError, match=rf"has {left} of an earlier run, without its recipe\.json"):
        RunFolder(tmp_path).check_absent()


def finished(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.write_meta(META)
    for step in (10, 20):
        folder.append_event({"step": step, "split": "test", "error_pct": 82.5})
    folder.finish(lambda: folder.weights.write_text("weights"), RESULT)
    return folder


def test_files_are_as_they_were_written(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    assert folder.altered() == []
    assert folder.read_meta()["recipe"]["lr"] == 0.1
    assert folder.read_result() == RESULT


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("recipe.json", '"lr": 0.1', '"lr": 0.3'),
        ("recipe.json", '"seed": 0', '"seed": 1'),
        ("metrics.jsonl", "82.5", "92.5"),
        ("metrics.jsonl", '{"step": 10, "split": "test", "error_pct": 82.5}\n', ""),
        ("result.json", "82.5", "92.5"),
    ],
)
def test_what_was_edited_is_named(tmp_path: Path, file: str, old: str, new: str) -> None:
    folder = finished(tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    assert folder.altered() == [file]
    if file == "recipe.json":
        with pytest.raises(UserError, match=r"recipe\.json is not as it was written"):
            folder.read_meta()


def test_files_of_before_there_were_digests_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    for path in (folder.recipe, folder.result):
        content = json.loads(path.read_text())
        del content["sha256"]
        path.write_text(json.dumps(content))
    assert folder.altered() == []
    assert folder.read_meta()["seed"] == 0


def test_keys_of_before_are_still_read(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    recipe = {**META["recipe"], "steps": 3, "shortened_from": 64_000, "shorter_side": [32, 36]}
    del recipe["scaled_from"]
    meta = {**META, "recipe": recipe, "departures": {"lr": 0.05, "bad_boxes": "drop"}}
    del meta["deviations"]
    run.write_meta(meta)
    run.write_result({**RESULT, "departures": {"lr": 0.05}})
    assert run.altered() == []
    assert run.read_meta()["deviations"] == {"lr": 0.05, "bad_boxes": "skip"}
    read = run.read_meta()["recipe"]
    assert read == {**META["recipe"], "steps": 3, "scaled_from": 64_000, "short_side": [32, 36]}
    assert (run.read_result() or {})["deviations"] == {"lr": 0.05}


def test_edited_events_are_not_gone_on_from(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (10, 20):
        folder.append_event({"step": step, "error_pct": 82.5})
    seen = folder.sync_events()
    folder.append_event({"step": 30})  # after it was saved: will be logged again
    folder.check_events(*seen)
    folder.metrics.write_text(folder.metrics.read_text().replace("82.5", "92.5", 1))
    folder.check_events(seen[0], None)  # saved before there were digests
    with pytest.raises(UserError, match=r"one of its first 2 lines was edited, or is damaged"):
        folder.check_events(*seen)


def test_what_a_finished_run_has_stays_until_its_extension_is_finished(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    for name in OF_THE_WEIGHTS:
        (tmp_path / name).write_text("[]")
    folder.write_meta({**META, "recipe": {**META["recipe"], "steps": 40}})
    assert folder.read_result() is None
    assert folder.altered() == []

    def full() -> None:
        raise UserError("No space left on device")

    with pytest.raises(UserError, match="No space left"):
        folder.finish(full, {**RESULT, "steps": 40})
    assert json.loads(folder.result.read_text())["steps"] == 20
    assert all((tmp_path / name).exists() for name in OF_THE_WEIGHTS)
    folder.finish(lambda: None, {**RESULT, "steps": 40})
    assert folder.read_result() == {**RESULT, "steps": 40}
    assert (tmp_path / "evaluations-20steps.json").exists()
    assert (tmp_path / "model.batchnorm-20steps.safetensors").exists()
    assert not any((tmp_path / name).exists() for name in OF_THE_WEIGHTS)


def test_whatever_the_system_refuses_of_a_run_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*asked: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    folder = finished(tmp_path)
    (tmp_path / EVALUATIONS).write_text("[]")
    folder.write_meta({**META, "recipe": {**META["recipe"], "steps": 40}})
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refused)  # with a quota, or over a network, the first to say so
        with pytest.raises(UserError, match=r"cannot write .*metrics.jsonl: Disk quota exceeded"):
            folder.sync_events()
    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(UserError, match=r"cannot write .*evaluations-20steps.json: Disk quota"):
        folder.set_tests_aside()


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
        (folder.path / ".checkpoint.pt.0123456789abcdef.tmp").touch()
        (folder.path / ".notes.tmp").touch()
        evaluating = folder.path / ".evaluations.json.0123456789abcdef.tmp"
        evaluating.touch()
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another process is training in" in other.stderr
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert other.stdout == "locked\n"
    # What a kill left half-written is gone, but not what another command is writing.
    assert {path.name for path in folder.path.iterdir()} == {".notes.tmp", evaluating.name}


@pytest.mark.parametrize("kind", ["detection", "localization", "localization-rcnn"])
def test_where_a_run_begins_is_known(tmp_path: Path, kind: str) -> None:
    if kind == "detection":
        make_detection_run(tmp_path)
    else:
        make_localization_run(tmp_path, errors_pct={}, rcnn=kind == "localization-rcnn")
    whole = RunFolder(tmp_path).read_meta()
    assert whole["recipe"]["kind"] == kind
    given = [part for part in ("initial_weights", "rpn") if part in whole]
    for part in given:
        lacking = {part: {"file": "somewhere"}}
        assert refused(tmp_path, whole | lacking) == f"{part}.sha256 is missing"
        lacking = {part: {**whole[part], "file": 3}}
        assert refused(tmp_path, whole | lacking) == f"{part}.file is 3, expected text"
    misplaced = {"data": {**whole["data"], "location": 3}}
    assert refused(tmp_path, whole | misplaced).startswith("data.location is 3, expected text")
    RunFolder(tmp_path).write_meta({**whole, "data": {**whole["data"], "location": None}})
    assert RunFolder(tmp_path).read_meta()["data"]["location"] is None  # of what deepres brings


def test_what_a_detector_is_tested_on_is_known(tmp_path: Path) -> None:
    make_detection_run(tmp_path)
    whole = RunFolder(tmp_path).read_meta()
    lacking = {"test_data": {"source": "VOC 2007 test"}}
    assert refused(tmp_path, whole | lacking) == "test_data.fingerprint is missing"


def refused(run: Path, meta: dict[str, Any]) -> str:
    """Write a recipe.json; return what is said to be wrong with it."""
    (run / "recipe.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match="not as deepres writes it") as refusal:
        RunFolder(run).read_meta()
    return str(refusal.value).partition("writes it: ")[2].partition(";")[0]
