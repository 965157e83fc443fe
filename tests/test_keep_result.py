"""tools/keep_result.py: what of a run comes with deepres."""

import json
import re
import runpy
from pathlib import Path

import pytest
from made_up_runs import make_detection_run
from runs import train

import deepres
from deepres.cli.main import main
from deepres.errors import UserError
from deepres.report.predictions import answers
from deepres.report.read_runs import read_run
from deepres.run_folder import RunFolder

TOOL = Path(__file__).parent.parent / "tools/keep_result.py"


def test_a_finished_run_is_kept_in_small(tmp_path: Path) -> None:
    tool = runpy.run_path(str(TOOL))
    kept = tmp_path / "results/run"
    tool["keep"].__globals__["RESULTS"] = kept.parent
    recipe = deepres.get_recipe("resnet8").scaled_to(2).changed(["batch_size=8"])
    result = train(recipe, tmp_path / "run", deepres.load_sample())
    assert main(["evaluate", str(tmp_path / "run"), "--data", "sample", "--device", "cpu"]) == 0
    (tmp_path / "run/signals.json").write_text("{}")
    tests = tmp_path / "run/evaluations.json"
    (test,) = json.loads(tests.read_text())
    tests.write_text(json.dumps([{**test, "data": "18 images of /home/me/flowers"}]))
    tool["keep"](tmp_path / "run", "sample")
    found = json.loads((kept / "result.json").read_text())
    assert found["half_precision_test_error_pct"] == pytest.approx(result["test_error_pct"], abs=1)
    assert json.loads((kept / "recipe.json").read_text())["data"]["location"] is None
    assert json.loads((kept / "evaluations.json").read_text())[0]["data"] == "18 images of flowers"
    (ranks,) = answers(kept, "1-crop")
    assert 100 * ranks.wrong(1).mean() == pytest.approx(result["test_error_pct"])
    files = {file.name for file in kept.iterdir()}
    assert files >= {"metrics.jsonl", "model.safetensors", "signals.json"}
    assert (kept / "model.safetensors").stat().st_size < (
        0.6 * (tmp_path / "run/model.safetensors").stat().st_size
    )


def test_a_detector_is_kept_without_weights_and_places(tmp_path: Path) -> None:
    keep = runpy.run_path(str(TOOL))["keep"]
    keep.__globals__["RESULTS"] = tmp_path / "results"
    curves = {"cell": {"recall": [50.0], "precision": [80.0], "ap_pct": 40.0}}
    run = make_detection_run(tmp_path / "run", seed=2, pr_curves=curves)
    begun_from = {**run.meta["initial_weights"], "file": "/home/me/resnet101-s0/model.safetensors"}
    tested = {"source": "VOC 2007 test", "location": "/home/me/VOCdevkit", "fingerprint": "abc"}
    meta = {**run.meta, "initial_weights": begun_from, "test_data": tested}
    RunFolder(run.path).write_meta(meta)
    assert run.result is not None
    RunFolder(run.path).write_result({**run.result, "initial_weights": begun_from})
    keep(run.path, None)
    kept = read_run(tmp_path / "results/run")
    here = {"initial_weights": kept.meta["initial_weights"]}
    assert (kept.meta["seed"], kept.result) == (2, {**run.result, **here})
    assert (kept.meta["data"]["location"], kept.side_files) == (None, run.side_files)
    assert kept.meta["test_data"] == {**tested, "location": None}
    assert kept.meta["initial_weights"]["file"] == "resnet101-s0/model.safetensors"
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["run"]
    with pytest.raises(UserError, match="run is there already"):
        keep(run.path, None)
    unfinished = make_detection_run(tmp_path / "cut", stopped_at=10)
    with pytest.raises(UserError, match="cut is not finished"):
        keep(unfinished.path, None)


def test_no_file_of_results_tells_a_machines_folders() -> None:
    files = [*TOOL.parent.parent.glob("results/**/*.json*")]
    assert files
    assert not [file for file in files if re.search(r'"/|"[A-Z]:', file.read_text())]
