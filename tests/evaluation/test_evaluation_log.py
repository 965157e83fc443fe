import errno
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up_runs import PROVENANCE, make_run

from deepres.errors import UserError, cannot_write
from deepres.evaluation import evaluation_log
from deepres.evaluation.detection.evaluation_log import note_detection
from deepres.evaluation.evaluation_log import (
    CLASSES_KEPT,
    SAME_TEST,
    class_errors,
    evaluation_entry,
    note,
    noted_tests,
    noting_errors_last,
)
from deepres.evaluation.scores import Scores
from deepres.evaluation.under_test import UnderTest
from deepres.files import read_json
from deepres.models.weights import write_weights
from deepres.run_contents import misfit_of_evaluations
from deepres.run_folder import EVALUATIONS, RunFolder

SAME = ("kind", "views")


def test_the_later_of_two_entries_of_a_test_is_kept(tmp_path: Path) -> None:
    entries = [
        {"kind": "a", "views": "single-scale", "error": 1},
        {"kind": "a", "error": 2},  # without views, which is another test
        {"kind": "b", "views": "single-scale", "error": 3},
        {"kind": "a", "views": "single-scale", "error": 4},
    ]
    for entry in entries:
        note(tmp_path, entry, SAME)
    noted = json.loads((tmp_path / "evaluations.json").read_text())
    assert [each["error"] for each in noted] == [2, 3, 4]


def test_detectors_tests_are_of_one_kind_on_the_same_images_alone(tmp_path: Path) -> None:
    """Folders of one name may hold as many images; earlier versions noted no checksum."""
    test = {"kind": "detection", "set": "data test", "images": 3, "rule": "area"}
    prints: list[dict[str, str]] = [{}, *({"fingerprint": name} for name in "aba")]
    for number, noted_print in enumerate(prints):
        note_detection(tmp_path, {**test, **noted_print, "map_50_pct": number})
    assert [each["map_50_pct"] for each in noted_tests(tmp_path)] == [2, 3]


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_processes_that_note_at_once_lose_no_entry(tmp_path: Path) -> None:
    program = """
import sys
import threading
from pathlib import Path
from typing import Any
from deepres.evaluation.evaluation_log import note
print(flush=True)
sys.stdin.readline()
for number in range(40):
    note(Path(sys.argv[1]), {"who": sys.argv[2], "number": number}, ("who", "number"))
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    both = [subprocess.Popen([*command, who], **pipes) for who in "ab"]
    for each in both:  # both are ready
        assert each.stdout
        each.stdout.readline()
    for each in both:
        assert each.stdin
        each.stdin.write(b"\n")
        each.stdin.flush()
    for each in both:
        each.communicate()
    found = {(each["who"], each["number"]) for each in noted_tests(tmp_path)}
    assert found == {(who, number) for who in "ab" for number in range(40)}


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    left = tmp_path / f".{EVALUATIONS}.{'0a' * 8}.tmp"
    left.touch()
    note(tmp_path, {"kind": "a"}, SAME)
    assert not left.exists()


def extended_run(path: Path) -> RunFolder:
    """A run that has a result of 200 steps and goes on to 400."""
    make_run(path, steps=200)
    folder = RunFolder(path)
    meta = folder.read_meta()
    folder.write_meta(meta | {"recipe": meta["recipe"] | {"steps": 400}})
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_old_tests_do_not_become_tests_of_new_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is extended sets aside what is noted at that moment, whole, and no part of it."""
    folder = extended_run(tmp_path / "run")
    note(folder.path, {"kind": "a", "views": 1}, SAME)
    folder.write_meta(folder.read_meta())  # its recipe.json is another file by now
    finishing = threading.Thread(target=folder.set_tests_aside)

    def read_while_the_run_is_finished(run: Path) -> list[dict[str, Any]]:
        found = noted_tests(run)
        finishing.start()
        finishing.join(0.2)
        return found

    monkeypatch.setattr(evaluation_log, "noted_tests", read_while_the_run_is_finished)
    with folder.locked():  # as a run in training has it
        note(folder.path, {"kind": "a", "views": 2}, SAME)
    finishing.join()
    assert not (folder.path / EVALUATIONS).exists()
    aside = read_json(folder.path / "evaluations-200steps.json")
    assert [each["views"] for each in aside] == [1, 2]


def test_old_weights_are_not_noted_beside_a_test_of_those_that_take_their_place(
    tmp_path: Path,
) -> None:
    """A detector's last step is tested and noted before its weights are written."""
    folder = extended_run(tmp_path / "run")
    write_weights(folder.weights, {}, {})
    tested = UnderTest.open(folder.path, lambda path, device: None, torch.device("cpu"))
    note(folder.path, {"kind": "a", "weights": "old"}, SAME, tested.unchanged)
    folder.set_tests_aside(before_test=True)
    note(folder.path, {"kind": "a", "weights": "new"}, SAME)
    note(folder.path, {"kind": "a", "weights": "old"}, SAME, tested.unchanged)
    assert [each["weights"] for each in noted_tests(folder.path)] == ["new"]
    aside = read_json(folder.path / "evaluations-200steps.json")
    assert [each["weights"] for each in aside] == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_a_test_that_waits_while_its_weights_are_replaced_is_not_noted(tmp_path: Path) -> None:
    weights = ["old"]

    def still() -> bool:
        return weights == ["old"]

    noting = threading.Thread(target=note, args=(tmp_path, {"kind": "a"}, SAME, still))
    with RunFolder(tmp_path).noting():
        noting.start()
        noting.join(0.2)
        weights[:] = ["new"]
    noting.join()
    assert noted_tests(tmp_path) == []


def refuse_to_write(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Have the system refuse to write evaluations.json, for a reason by its number."""

    def refused(path: Path, *_: object, **__: object) -> None:
        error = OSError(number, os.strerror(number))
        raise cannot_write(path, error) from error

    monkeypatch.setattr("deepres.evaluation.evaluation_log.write_json", refused)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_to_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_to_write(monkeypatch, number)
    note(tmp_path, {"kind": "a"}, SAME)
    assert not (tmp_path / EVALUATIONS).exists()


def test_what_a_full_disk_does_not_take_is_said_at_once_or_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_write(monkeypatch, errno.ENOSPC)
    message = r"what the test found is not noted: cannot write .*evaluations\.json: No space left"
    told: list[str] = []

    @noting_errors_last(told.append)
    def command(then: str) -> None:
        note(tmp_path, {"kind": "a"}, SAME)
        if then:
            raise KeyError(then)
        told.append("what was found")

    with pytest.raises(UserError, match=message):
        command("")
    assert told == ["what was found"]
    with pytest.raises(KeyError, match="another error"):
        command("another error")
    assert re.match(message, told[1])
    with pytest.raises(UserError, match=message):
        note(tmp_path, {"kind": "a"}, SAME)


def test_what_a_folder_that_is_gone_does_not_take_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not noted: .* its folder is not there, or is gone"):
        note(tmp_path / "gone", {"kind": "a"}, SAME)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("damaged", "message"),
    [('{"kind": "a"}', "it is an object, expected a list"), ('[{"kind": "a"},]', "not valid JSON")],
)
def test_one_edited_by_hand_is_refused_before_a_test_and_left_as_it_is(
    tmp_path: Path, damaged: str, message: str
) -> None:
    file = tmp_path / "evaluations.json"
    file.write_text(damaged)
    with pytest.raises(UserError, match=message):
        noted_tests(tmp_path)
    with pytest.raises(UserError, match=f"is not noted: .*{message}"):
        note(tmp_path, {"kind": "b"}, SAME)
    assert file.read_text() == damaged


def scores_of(*taken: tuple[int, int], classes: int) -> Scores:
    """Scores of images by their true class and the one that they were taken for."""
    true, found = torch.tensor(taken).T
    return Scores(tuple(map(str, taken)), true, torch.eye(classes)[found])


def test_errors_by_class_are_kept_with_the_confusion_matrix(tmp_path: Path) -> None:
    scores = scores_of((0, 0), (0, 1), (0, 0), (0, 0), (1, 1), classes=3)
    entry = evaluation_entry("1-crop", "these", "f00d", scores, PROVENANCE)
    note(tmp_path, entry | class_errors(scores, ["cat", "dog", "ox"]), SAME_TEST)
    (entry,) = read_json(tmp_path / EVALUATIONS)
    assert entry["class_errors_pct"] == {"cat": 25.0, "dog": 0.0, "ox": None}  # there is no ox
    assert entry["confusion"] == [[3, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert misfit_of_evaluations([entry], "cifar10") == ""


def test_images_are_told_by_their_fingerprint_whatever_they_are_called(tmp_path: Path) -> None:
    scores = scores_of((0, 0), (0, 1), classes=2)
    tests = [("ImageNet", "f00"), ("2 images of /data", "f00"), ("2 images of /data", "f01")]
    for source, fingerprint in tests:
        entry = evaluation_entry("1-crop", source, fingerprint, scores, PROVENANCE)
        note(tmp_path, entry, SAME_TEST)
    kept = [(each["data"], each["fingerprint"]) for each in read_json(tmp_path / EVALUATIONS)]
    assert kept == tests[1:]


def test_what_was_noted_without_a_fingerprint_is_replaced_if_its_images_are_called_alike(
    tmp_path: Path,
) -> None:
    old = {"views": "1-crop", "data": "ImageNet", "images": 2}
    others = [{**old, "data": "2 images of /data"}, {**old, "images": 1}, {"data": "ImageNet"}]
    (tmp_path / EVALUATIONS).write_text(json.dumps([old, *others]))
    scores = scores_of((0, 0), (0, 1), classes=2)
    note(tmp_path, evaluation_entry("1-crop", "ImageNet", "f00", scores, PROVENANCE), SAME_TEST)
    *kept, new = noted_tests(tmp_path)
    assert kept == others
    assert new["fingerprint"] == "f00"


def test_of_many_classes_the_worst_are_kept() -> None:
    classes = [f"class {i}" for i in range(CLASSES_KEPT + 1)]
    scores = scores_of((2, 2), (5, 0), *((i, i) for i in range(7, 20)), classes=len(classes))
    kept = class_errors(scores, classes)
    assert kept.keys() == {"class_errors_pct"}
    assert len(kept["class_errors_pct"]) == CLASSES_KEPT
    assert next(iter(kept["class_errors_pct"].items())) == ("class 5", 100.0)
    assert class_errors(scores, ["crane", "crane", *classes[2:]]) == {}
