"""Somebody's run again, from its recipe.json."""

import dataclasses
import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
from runs import assert_same_bits, on_cpu, train

import deepres
from deepres.data.cifar10 import Cifar10
from deepres.errors import UserError
from deepres.models.weights import read_weights, write_weights
from deepres.recipes import DetectionRecipe, get_recipe
from deepres.run_folder import RunFolder
from deepres.training import step
from deepres.training.repetition import as_it_was_computed, compared, read_original, repeat

TOOL = Path(__file__).parents[2] / "tools/keep_result.py"
FEW = ["batch_size=8", "log_every=1", "eval_every=2", "lr_drops=2"]


@pytest.fixture(scope="module")
def few(sample: Cifar10) -> Cifar10:
    parts = (sample.train.subset(slice(64)), sample.test.subset(slice(20)))
    return dataclasses.replace(sample, train=parts[0], test=parts[1])


@pytest.fixture(scope="module")
def begun_from(tmp_path_factory: pytest.TempPathFactory, few: Cifar10) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    train(get_recipe("resnet8").scaled_to(2).changed(FEW[:3]), folder / "run", few)
    return folder / "run"


@pytest.fixture
def run(tmp_path: Path, few: Cifar10, begun_from: Path) -> Path:
    """A fine-tuned run, by other kernels than usual."""
    recipe = deepres.fine_tuning_recipe("resnet8", begun_from, few).scaled_to(4)
    recipe = recipe.changed([*FEW, "freeze=conv1"])
    train(recipe, tmp_path / "run", few, weights=begun_from, seed=5, fused_kernels=False)
    return tmp_path / "run"


def test_it_ends_with_the_same_bits(tmp_path: Path, run: Path, few: Cifar10) -> None:
    theirs = tmp_path / "mail/theirs.json"  # all that came by mail
    theirs.parent.mkdir()
    shutil.copy(run / "recipe.json", theirs)
    said: list[str] = []
    original = read_original(theirs)
    repeat(original, tmp_path / "again", few, on_cpu(say=said.append))
    assert_same_bits(RunFolder(run), RunFolder(tmp_path / "again"))
    assert not any("bits may differ" in line for line in said)
    metas = [RunFolder(path).read_meta() for path in (run, tmp_path / "again")]
    for key in ("seed", "data", "initial_weights", "provenance"):
        assert metas[0][key] == metas[1][key], key
    assert compared(original, tmp_path / "again") is None  # no weights came with it
    assert compared(read_original(run), tmp_path / "again") == (
        f"the same bits as {run / 'model.safetensors'}"
    )


def test_another_end_is_told(tmp_path: Path, run: Path, few: Cifar10, begun_from: Path) -> None:
    assert compared(read_original(run), begun_from).startswith("not the same bits as ")


def test_weights_kept_in_half_precision_are_compared_in_it(tmp_path: Path, run: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(run, again)
    file = run / "model.safetensors"
    half_weights = runpy.run_path(str(TOOL))["half_weights"]
    half_weights(again / "model.safetensors", file)
    expected = f"the same bits as {file}, which is kept in half precision"
    assert compared(read_original(run), again) == expected
    tensors, notes = read_weights(again / "model.safetensors")
    tensors["fc.bias"] += 1
    write_weights(again / "model.safetensors", tensors, notes)
    assert compared(read_original(run), again) == f"not {expected}"


def test_an_original_whose_weights_are_damaged_is_told(tmp_path: Path, run: Path) -> None:
    shutil.copytree(run, tmp_path / "again")
    file = run / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    told = compared(read_original(run), tmp_path / "again")
    assert told is not None
    assert told.startswith(f"not compared: {file} is damaged")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_is_that_of_the_run(run: Path, precision: str) -> None:
    edit(run, lambda meta: meta["provenance"].update(precision=precision))
    assert read_original(run).recipe.precision == precision


@pytest.mark.parametrize(
    ("kernels", "expected"),
    [("PyTorch: as asked", (False, True)), ("Triton", (True, False)), ("C", (True, True))],
)
def test_kernels_are_those_of_the_run(run: Path, kernels: str, expected: Any) -> None:
    edit(run, lambda meta: meta["provenance"].update(kernels=kernels))
    here = as_it_was_computed(read_original(run), on_cpu())
    assert (here.fused_kernels, here.fused_convolutions) == expected


def test_what_the_bits_depend_on_is_compared(run: Path) -> None:
    def elsewhere(meta: dict[str, Any]) -> None:
        meta["provenance"].update(hardware="a GPU", processes=8)
        meta["resumed"] = [{"step": 3, **meta["provenance"], "torch": "9.9"}]

    edit(run, elsewhere)
    said: list[str] = []
    as_it_was_computed(read_original(run), on_cpu(say=said.append))
    [line] = said
    for part in (
        "bits may differ",
        "hardware a GPU → ",
        "processes 8 → 1",
        "in another way from step 3",
    ):
        assert part in line


def test_other_kernels_are_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(run, lambda meta: meta["provenance"].update(kernels="C", precision="fp32"))
    monkeypatch.setattr(step, "fused_by", lambda _: "PyTorch: no compiler")
    said: list[str] = []
    as_it_was_computed(read_original(run), on_cpu(say=said.append))
    [line] = said
    assert line.endswith("the bits may differ: kernels C → PyTorch: no compiler")


def test_other_data_and_weights_are_refused(
    tmp_path: Path, run: Path, few: Cifar10, sample: Cifar10, begun_from: Path
) -> None:
    original = read_original(run)
    again = tmp_path / "again"
    said: list[str] = []
    with pytest.raises(UserError, match=r"recipe.json began with .* but this is"):
        repeat(original, again, sample, on_cpu(say=said.append))
    assert not said
    with pytest.raises(UserError, match=r"began from weights with sha256 \w{64}, but .* has"):
        repeat(original, again, few, on_cpu(), weights=run)
    original.meta["initial_weights"]["file"] = "elsewhere/model.safetensors"
    with pytest.raises(UserError, match=r"not here: elsewhere.*give the same by --weights"):
        repeat(original, again, few, on_cpu())
    with pytest.raises(UserError, match="began from random weights; leave out"):
        repeat(read_original(begun_from), again, few, on_cpu(), weights=run)
    assert not again.exists()
    repeat(original, again, few, on_cpu(), weights=begun_from)


def test_a_damaged_recipe_is_refused(run: Path) -> None:
    file = run / "recipe.json"
    whole = file.read_text()
    file.write_text(whole.replace('"lr": 0.01', '"lr": 0.02'))
    with pytest.raises(UserError, match="not as it was written: it was edited, or is damaged"):
        read_original(run)
    file.write_text(whole[:200])
    with pytest.raises(UserError, match="not valid JSON"):
        read_original(file)
    file.write_text("[]")
    with pytest.raises(UserError, match="not as deepres writes it"):
        read_original(file)
    with pytest.raises(UserError, match=r"cannot read .*nowhere\.json"):
        read_original(run / "nowhere.json")
    file.write_text(whole)
    with pytest.raises(UserError, match=r"recipe\.json trains a classifier"):
        read_original(file, DetectionRecipe)


def edit(run: Path, change: Any) -> None:
    folder = RunFolder(run)
    meta = json.loads(json.dumps(folder.read_meta()))
    change(meta)
    folder.write_meta(meta)
