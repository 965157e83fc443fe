"""tools/keep_result.py: what of a run comes with deepres."""

import json
import runpy
from pathlib import Path

import pytest
from runs import train

import deepres
from deepres.cli.main import main
from deepres.report.predictions import answers

TOOL = Path(__file__).parent.parent / "tools/keep_result.py"


def test_a_finished_run_is_kept_in_small(tmp_path: Path) -> None:
    tool = runpy.run_path(str(TOOL))
    kept = tmp_path / "results/run"
    tool["keep"].__globals__["RESULTS"] = kept.parent
    recipe = deepres.get_recipe("resnet8").scaled_to(2).changed(["batch_size=8"])
    result = train(recipe, tmp_path / "run", deepres.load_sample())
    assert main(["evaluate", str(tmp_path / "run"), "--data", "sample", "--device", "cpu"]) == 0
    (tmp_path / "run/signals.json").write_text("{}")
    tool["keep"](tmp_path / "run", "sample")
    found = json.loads((kept / "result.json").read_text())
    assert found["half_precision_test_error_pct"] == pytest.approx(result["test_error_pct"], abs=1)
    assert json.loads((kept / "recipe.json").read_text())["data"]["location"] is None
    (ranks,) = answers(kept, "1-crop")
    assert 100 * ranks.wrong(1).mean() == pytest.approx(result["test_error_pct"])
    files = {file.name for file in kept.iterdir()}
    assert files >= {"metrics.jsonl", "model.safetensors", "signals.json"}
    assert (kept / "model.safetensors").stat().st_size < (
        0.6 * (tmp_path / "run/model.safetensors").stat().st_size
    )
