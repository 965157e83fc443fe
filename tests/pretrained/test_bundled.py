from pathlib import Path

import pytest
import torch
from made_up_runs import whole_meta
from safetensors.torch import load_file, save_file

from deepres import load_model
from deepres.errors import UserError
from deepres.files import write_json
from deepres.models import build_network, save_weights
from deepres.models.classifier import Classifier
from deepres.pretrained import find_weights
from deepres.pretrained.bundled import bundled_run
from deepres.recipes import get_recipe
from deepres.run_folder import RunFolder


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of ResNet-8: two seeds, a shortened one; of plain-8 two that are shortened."""
    monkeypatch.setattr("deepres.pretrained.bundled.results_folder", lambda: tmp_path)
    for name, steps in (
        ("resnet8-s1", None),
        ("resnet8-s0", None),
        ("resnet8-9steps-s0", 9),
        ("plain8-9steps-s0", 9),
        ("plain8-80steps-s1", 80),
    ):
        recipe = get_recipe(name.partition("-")[0])
        recipe = recipe.scaled_to(steps) if steps else recipe
        network = build_network(recipe.model)
        classifier = Classifier(network, torch.rand(3, 32, 32), tuple("abcdefghij"))
        save_weights(tmp_path / name / "model.safetensors", classifier, {})
        meta = whole_meta(recipe, seed=int(name[-1]))
        write_json(tmp_path / name / "recipe.json", meta)
    return tmp_path


def test_a_network_means_its_longest_run_and_lowest_seed(results: Path) -> None:
    assert bundled_run("resnet8") == results / "resnet8-s0"
    assert bundled_run("plain8") == results / "plain8-80steps-s1"
    assert bundled_run("plain8-9steps-s0") == results / "plain8-9steps-s0"
    with pytest.raises(UserError, match="no weights of plain14 come with deepres; there are plain"):
        load_model("plain14", weights="deepres")


def test_a_run_of_another_recipe_comes_after_the_papers(results: Path) -> None:
    meta = RunFolder(results / "resnet8-s0").read_meta()
    RunFolder(results / "resnet8-s0").write_meta({**meta, "deviations": {"lr": [0.1, 0.2]}})
    assert bundled_run("resnet8") == results / "resnet8-s1"


def test_a_detectors_run_is_no_network(results: Path) -> None:
    meta = RunFolder(results / "resnet8-s0").read_meta()
    meta["recipe"] |= {"kind": "detection", "dataset": "coco", "global_context": False}
    meta["data"]["images"] = 1
    meta |= {"initial_weights": None, "network": {"architecture": {"num_classes": 10}}}
    RunFolder(results / "resnet8-s0").write_meta(meta)
    assert bundled_run("resnet8") == results / "resnet8-s1"


def test_the_screen_says_which_run_it_is() -> None:
    """Of those that really come with deepres."""
    said: list[str] = []
    find_weights("resnet20", say=said.append)
    assert said[0] == "resnet20: the run resnet20-s0: 64,000 steps, seed 0; test error 8.47 %"
    assert said[-1].startswith("input: 32×32; of R, G, B in [0, 1] the mean image, on average 0.49")


def test_the_screen_says_that_a_run_is_shortened(results: Path) -> None:
    said: list[str] = []
    find_weights("plain8", say=said.append)
    assert "plain8-80steps-s1: 80 steps, shortened from 64,000, seed 1" in said[0]


def test_weights_in_half_precision_compute_in_single(results: Path) -> None:
    file = results / "resnet8-s0/model.safetensors"
    expected = load_model(file)
    described = {"deepres": _metadata(file)}
    halves = {k: v.half() if "weight" in k else v for k, v in load_file(file).items()}
    save_file(halves, file, metadata=described)
    found = load_model("resnet8", weights="deepres")
    assert {p.dtype for p in found.parameters()} == {torch.float32}
    images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(found(images), expected(images), atol=0.05, rtol=0.01)


def test_weights_of_another_network_are_refused(results: Path) -> None:
    assert load_model("resnet8", weights=results / "resnet8-s0").network.architecture["name"] == (
        "resnet8"
    )
    with pytest.raises(UserError, match="resnet8-s0 is of resnet8, not of resnet50; name resnet8"):
        load_model("resnet50", weights=results / "resnet8-s0")
    load_model("resnet8-s0", weights="deepres")  # a run's name, of a source


def _metadata(file: Path) -> str:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as archive:
        return archive.metadata()["deepres"]
