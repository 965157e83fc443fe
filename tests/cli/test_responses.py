import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from runs import train

from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10
from deepres.evaluation.responses import layer_responses
from deepres.models import load_classifier
from deepres.models.weights import read_weights
from deepres.recipes import get_recipe
from deepres.run_folder import RunFolder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, sample: Cifar10) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("plain8", "resnet8"):
        recipe = dataclasses.replace(get_recipe(name).scaled_to(2), batch_size=16)
        train(recipe, folder / name, sample, device="cpu")
    return [folder / "plain8", folder / "resnet8"]


def test_a_file_beside_each_run_and_a_table(
    runs: list[Path], sample: Cifar10, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["responses", *map(str, runs), "--images", "120", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    for run in runs:
        written = json.loads((run / "responses.json").read_text())
        expected = layer_responses(load_classifier(run), [sample.test.images[:120]])
        assert written["layers"] == list(expected.layers)
        assert written["std"] == pytest.approx(expected.std, rel=1e-4)
        assert written["images"] == 120
        assert written["data"] == "120 test images of the embedded sample of CIFAR-10"
        assert (written["model"], written["steps"], written["seed"]) == (run.name, 2, 0)
        assert written["provenance"]["device"] == "cpu"
        row = next(line for line in shown.splitlines() if line.startswith(str(run)))
        first, last = written["std"][0], written["std"][-1]
        assert row.split()[1:4] == ["7", f"{first:.3f}", f"{last:.3f}"]


def test_what_was_measured_on_more_images_stays(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs[0], tmp_path / "run")
    for command, more in (("responses", 40), ("signals", 12)):
        file = run / f"{command}.json"
        file.write_text("damaged")
        for images, kept in ((more, more), (more // 2, more), (more + 4, more + 4)):
            assert main([command, str(run), "--images", str(images), "--device", "cpu"]) == 0
            assert json.loads(file.read_text())["images"] == kept
            stays = f"{file} stays as it is: it is of {more} t" in capsys.readouterr().err
            assert stays == (kept > images)
        extended = {**json.loads(file.read_text()), "steps": 1}
        file.write_text(json.dumps(extended))  # of the run as it was before
        assert main([command, str(run), "--images", "2", "--device", "cpu"]) == 0
        assert json.loads(file.read_text())["images"] == 2


def test_what_is_measured_while_a_run_is_being_extended_is_of_its_old_weights(
    runs: list[Path], tmp_path: Path
) -> None:
    folder = RunFolder(shutil.copytree(runs[1], tmp_path / "run"))
    meta = folder.read_meta()
    folder.write_meta({**meta, "recipe": {**meta["recipe"], "steps": 12}})
    for command in ("responses", "signals", "batchnorm"):
        asked = ["--data", "sample", "--images", "16", "--device", "cpu"]
        assert main([command, str(folder.path), *asked]) == 0
    for study in ("responses.json", "signals.json"):
        assert json.loads((folder.path / study).read_text())["steps"] == 2
    notes = read_weights(folder.path / "model.batchnorm.safetensors")[1]
    assert (notes["steps"], notes["batch_norm"]["images"]) == (2, 16)


def test_what_comes_with_deepres_is_not_changed(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs[1]
    monkeypatch.setattr("deepres.run_places.results_folder", lambda: run.parent)
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    asked = [str(run), "--images", "20", "--data", "sample", "--device", "cpu"]
    assert main(["responses", *asked]) == 0
    asked[2] = "4"
    assert main(["signals", *asked]) == 0
    assert main(["export", str(run), "--to", "safetensors"]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in run.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {
        "resnet8.responses.json",
        "resnet8.signals.json",
        "resnet8.safetensors",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("RUN --images 0", "--images must be at least 1, got 0"),
        ("RUN/model.safetensors", "is not a run folder"),
    ],
)
def test_mistakes(
    runs: list[Path], arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = arguments.replace("RUN", str(runs[0])).split()
    assert main(["responses", "--device", "cpu", *words]) == 2
    assert message in capsys.readouterr().err
