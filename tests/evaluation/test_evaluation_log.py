import json
from pathlib import Path

import pytest

from deepres.errors import UserError
from deepres.evaluation.evaluation_log import note, noted

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


def test_a_folder_that_cannot_be_written_to_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_text("a file, not a folder")
    note(file, {"kind": "a"}, SAME)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


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
        noted(tmp_path)
    note(tmp_path, {"kind": "b"}, SAME)
    assert file.read_text() == damaged
