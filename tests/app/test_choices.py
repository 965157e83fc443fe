import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up_runs import make_run

from deepres.app.choices import choices
from deepres.models import Classifier, build_network, save_weights
from deepres.models.weights import read_weights, write_weights
from deepres.pretrained.bundled import bundled_runs


def classifier(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    classes = tuple("abcdefghij")
    save_weights(path, Classifier(build_network("resnet8"), torch.zeros(3, 1, 1), classes), {})
    return path


def test_what_is_named_comes_first_then_runs_then_what_comes_with_deepres(tmp_path: Path) -> None:
    given = classifier(tmp_path / "given.safetensors")
    for age, name in enumerate(("new", "nested/old")):
        file = classifier(tmp_path / "runs" / name / "model.safetensors")
        os.utime(file, (1e9 - age, 1e9 - age))
    found = choices([("given", given)], tmp_path / "runs")
    own = [str(tmp_path / "runs" / name) for name in ("new", "nested/old")]
    assert list(found)[:3] == ["given", *own]
    assert set(list(found)[3:]) == {*bundled_runs()}
    assert found["given"].about[0] == f"resnet8: weights of {given}"
    errors = [float(each.about[0].split("test error ")[1][:-2]) for each in [*found.values()][3:]]
    assert errors == sorted(errors)


def test_a_file_is_there_once_and_what_cannot_be_used_is_left_out(tmp_path: Path) -> None:
    bundled = choices([], tmp_path)
    run = bundled_runs()["resnet20-s0"]
    assert list(choices([("resnet20", run)], tmp_path)) == [
        "resnet20",
        *(name for name in bundled if name != "resnet20-s0"),
    ]
    make_run(tmp_path / "unfinished", stopped_at=9_600)
    damaged = classifier(tmp_path / "damaged/model.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:50])
    assert choices([], tmp_path) == bundled


@pytest.mark.parametrize(
    "spoil",
    [
        lambda notes: [],
        lambda notes: {key: each for key, each in notes.items() if key != "crop"},
        lambda notes: {**notes, "architecture": {}},
        lambda notes: {**notes, "architecture": {"name": "resnet50", "stride_on": "7x7"}},
        lambda notes: {**notes, "imported": "timm"},
        lambda notes: {**notes, "steps": "many"},
    ],
)
def test_files_whose_notes_are_odd_are_left_out(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    tensors, notes = read_weights(classifier(tmp_path / "runs/a/model.safetensors"))
    write_weights(tmp_path / "runs/a/model.safetensors", tensors, spoil(notes))
    (tmp_path / "runs/b").mkdir()
    (tmp_path / "runs/b/model.safetensors").symlink_to("nowhere")
    assert choices([], tmp_path / "runs").keys() == bundled_runs().keys()


def test_a_run_that_is_taken_away_meanwhile_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = classifier(tmp_path / "runs/a/model.safetensors")
    is_file = Path.is_file

    def there_until_now(path: Path) -> bool:
        was = is_file(path)
        if path == file:
            shutil.rmtree(file.parent, ignore_errors=True)
        return was

    monkeypatch.setattr(Path, "is_file", there_until_now)
    assert choices([], tmp_path / "runs").keys() == bundled_runs().keys()
