from pathlib import Path

import pytest
import torch
from made_up_runs import whole_meta
from safetensors.torch import load_file, save_file

from deepres import load_model
from deepres.bundled_weights import bundled_run
from deepres.errors import UserError
from deepres.files import write_json
from deepres.models import create_model, save_weights
from deepres.models.classifier import Classifier
from deepres.recipes import get_recipe


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two seeds of ResNet-8, one shortened run of plain-8."""
    monkeypatch.setattr("deepres.bundled_weights.results_folder", lambda: tmp_path)
    for name, steps in (("resnet8-s1", None), ("resnet8-s0", None), ("plain8-9steps-s0", 9)):
        recipe = get_recipe(name.partition("-")[0])
        recipe = recipe.scaled_to(steps) if steps else recipe
        network = create_model(recipe.model)
        classifier = Classifier(network, torch.rand(3, 32, 32), tuple("abcdefghij"))
        save_weights(tmp_path / name / "model.safetensors", classifier, {})
        write_json(tmp_path / name / "recipe.json", whole_meta(recipe))
    return tmp_path


def test_a_network_means_its_lowest_seed_of_full_length(results: Path) -> None:
    assert bundled_run("resnet8") == results / "resnet8-s0"
    assert bundled_run("plain8-9steps-s0") == results / "plain8-9steps-s0"
    with pytest.raises(UserError, match="no weights of a paper-length plain8; it has plain8-9"):
        load_model("plain8", weights="deepres")


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


def _metadata(file: Path) -> str:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as archive:
        return archive.metadata()["deepres"]
