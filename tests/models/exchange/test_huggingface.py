"""Folders of the Hugging Face hub: ours, and in the layouts of transformers and timm."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from made_up_runs import PROVENANCE, whole_meta
from safetensors.torch import save_file
from torch import Tensor, nn
from weight_layouts import to_transformers, trained_like

from deepres.errors import UserError
from deepres.models import Classifier, load_classifier
from deepres.models.create import build_network
from deepres.models.exchange import export_weights
from deepres.models.exchange.huggingface import import_huggingface
from deepres.models.exchange.transformers_resnet import network_of
from deepres.models.weights import save_weights
from deepres.pretrained.introduction import introduction
from deepres.recipes import fine_tuned, get_recipe
from deepres.run_folder import EVALUATIONS, RunFolder

timm = pytest.importorskip("timm", reason="deepres[test] brings it")

DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet152": (3, 8, 36, 3)}
PREPROCESSOR = {
    "image_processor_type": "ConvNextImageProcessor",
    "size": {"shortest_edge": 64},
    "crop_pct": 0.875,
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.25, 0.3],
    "resample": 3,
}


def transformers_config(kind: str, depths: tuple[int, ...], **more: Any) -> dict[str, Any]:
    """A config.json as transformers writes it."""
    return {
        "architectures": ["ResNetForImageClassification"],
        "model_type": "resnet",
        "depths": list(depths),
        "hidden_sizes": [(256 if kind == "bottleneck" else 64) << i for i in range(4)],
        "layer_type": kind,
        "embedding_size": 64,
        "hidden_act": "relu",
        "num_channels": 3,
        "downsample_in_first_stage": False,
        "id2label": {str(i): name for i, name in enumerate("wxyz")},
        **more,
    }


def write(folder: Path, config: object, state: dict[str, Tensor], **files: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors")
    return folder


@torch.inference_mode()
def assert_same(found: Classifier, theirs: nn.Module, images: Tensor, mean: Any, std: Any) -> None:
    prepared = torchvision.transforms.functional.normalize(images / 255, mean, std)
    expected = theirs.eval()(prepared)
    assert expected.std() > 0
    assert (found(images) - expected).norm() / expected.norm() < 1e-5


@pytest.fixture
def images() -> Tensor:
    seed = torch.Generator().manual_seed(2)
    return torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8, generator=seed)


def test_transformers_basic_blocks_are_torchvisions(tmp_path: Path, images: Tensor) -> None:
    theirs = torchvision.models.resnet18(num_classes=4)
    config = transformers_config("basic", (2, 2, 2, 2))
    state = to_transformers(theirs.state_dict())
    said: list[str] = []
    folder = write(tmp_path / "a", config, state, preprocessor_config=PREPROCESSOR)
    found = import_huggingface(folder, said.append)
    assert_same(found, theirs, images, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3])
    assert (found.crop, found.short_side) == (64, 73)
    assert found.classes == tuple("wxyz")
    assert any("bilinearly" in line for line in said)


@pytest.mark.parametrize("in_1x1", [False, True])
def test_transformers_bottlenecks_halve_where_the_config_says(
    tmp_path: Path, images: Tensor, in_1x1: bool
) -> None:
    stride = "1x1" if in_1x1 else "3x3"
    network = trained_like("resnet50", stride_on=stride)
    config = transformers_config("bottleneck", (3, 4, 6, 3), downsample_in_bottleneck=in_1x1)
    folder = write(tmp_path / "a", config, to_transformers(network.state_dict()))
    found = import_huggingface(folder)
    assert found.network.architecture["stride_on"] == stride
    assert_same(found, network, images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert (found.crop, found.short_side) == (224, 256)
    (folder / "model.safetensors").unlink()  # 90 MB, which pytest would keep


def test_other_ways_to_say_the_size(tmp_path: Path) -> None:
    state = to_transformers(torchvision.models.resnet18(num_classes=4).state_dict())
    config = transformers_config("basic", (2, 2, 2, 2))
    cropped = {"size": {"shortest_edge": 384}, "crop_size": {"height": 384, "width": 384}}
    cases: list[tuple[dict[str, Any], tuple[int, int]]] = [
        ({"size": 224}, (224, 256)),
        (cropped, (384, 384)),
        ({"size": {"shortest_edge": 384}}, (384, 384)),
        ({"size": {"height": 64, "width": 64}, "crop_pct": None}, (64, 73)),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, (224, 256)),
    ]
    for described, expected in cases:
        folder = write(tmp_path / "a", config, state, preprocessor_config=described)
        said: list[str] = []
        found = import_huggingface(folder, said.append)
        assert (found.crop, found.short_side) == expected
        squeezed = any(line.startswith("transformers squeezes whole images") for line in said)
        assert squeezed == (described == {"size": {"shortest_edge": 384}})


def test_timm(tmp_path: Path, images: Tensor) -> None:
    theirs = timm.create_model("resnet18", num_classes=5)
    mean, std = [0.5, 0.4, 0.3], [0.5, 0.6, 0.7]
    described = {"input_size": [3, 176, 176], "crop_pct": 0.95, "mean": mean, "std": std}
    config = {"architecture": "resnet18", "num_classes": 5, "pretrained_cfg": described}
    folder = write(tmp_path / "a", config, theirs.state_dict())
    found = import_huggingface(folder)
    assert_same(found, theirs, images, mean, std)
    assert found.classes == tuple("01234")
    config["label_names"] = [*"abcde"]  # of a fine-tuned network
    (folder / "config.json").write_text(json.dumps(config))
    assert import_huggingface(folder).classes == tuple("abcde")
    assert (found.crop, found.short_side) == (176, 185)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": [1, 1, 1, 1]}, r"stages of \(1, 1, 1, 1\) basic blocks"),
        ({"hidden_act": "gelu"}, "none of the paper's networks has hidden_act gelu"),
        ({"hidden_sizes": [1, 2, 3, 4]}, "has hidden_sizes"),
        ({"downsample_in_first_stage": True}, "has downsample_in_first_stage True"),
        ({"depths": [3, 4, 6, 3]}, "layer1.2.conv1.weight is missing"),
        ({"model_type": "vit"}, "no ResNet of deepres, transformers or timm: its model_type is 'v"),
        ({"depths": 5}, "config.json is not as its library writes it"),
    ],
)
def test_other_networks_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    config = transformers_config("basic", (2, 2, 2, 2)) | changes
    state = to_transformers(build_network("resnet18", shortcut="B", num_classes=4).state_dict())
    with pytest.raises(UserError, match=message):
        import_huggingface(write(tmp_path / "a", config, state))


def test_every_depth_is_known() -> None:
    for name, depths in DEPTHS.items():
        kind = "bottleneck" if name == "resnet152" else "basic"
        assert network_of(transformers_config(kind, depths), 4).architecture["name"] == name


def test_an_export_comes_back_with_the_same_logits(tmp_path: Path) -> None:
    """Of a run that comes with deepres, in half precision."""
    from deepres.pretrained import find_weights

    run = find_weights("resnet20-2000steps-s0")
    said: list[str] = []
    files = export_weights(run, "huggingface", tmp_path / "out", said.append)
    assert [file.name for file in files] == ["model.safetensors", "config.json", "README.md"]
    assert said[0] == "checked: read back, it gives the same logits"
    images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    expected = load_classifier(run)(images)
    for found in (import_huggingface(tmp_path / "out"), load_classifier(tmp_path / "out")):
        assert torch.equal(found(images), expected)
        assert found.classes[3] == "cat"
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["architecture"]["name"] == "resnet20"
    card = (tmp_path / "out/README.md").read_text()
    for expected_line in (
        "library_name: deepres",
        "- cifar10",
        "**Not of the paper's length**: 2,000 steps, shortened from 64,000, but for dev",
        "| batch_size | 128 |",
        "**Deviations from the paper's recipe**: none: every value is the paper's.",
        "| seed | 0 |",
        "| hardware | AMD EPYC",
    ):
        assert expected_line in card
    result = json.loads((run / "result.json").read_text())
    assert f"| test error (%) | {result['test_error_pct']:.6g} |" in card
    views = json.loads((run / "evaluations.json").read_text())[0]
    assert f"## Errors, {views['views']} on {views['data']}" in card
    assert f"| top1_error_pct | {views['top1_error_pct']:.6g} |" in card


def test_a_card_gives_no_path_and_no_errors_of_other_weights(tmp_path: Path) -> None:
    classifier = Classifier(build_network("resnet8"), torch.rand(3, 1, 1), tuple("abcdefghij"))
    run = RunFolder(tmp_path)
    data = {"source": "CIFAR-10", "location": "/home/somebody", "fingerprint": ""}
    deviations = {"lr": 0.05, "lr_drops": [32_000], "flip": False}
    run.write_meta(whole_meta(get_recipe("resnet8"), seed=3, data=data, deviations=deviations))
    numbers = {"test_error_pct": 12.34, "train_error_pct": 1.0, "training_s": 1.0}
    run.write_result({"steps": 64_000, "provenance": PROVENANCE, **numbers})
    file = tmp_path / "model.batchnorm.safetensors"
    save_weights(file, classifier, {"test_error_pct": 11.11})
    export_weights(file, "huggingface", tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    words = "learning rate 0.05, rate drops after 32,000 steps, flip=false."
    assert f"**Deviations from the paper's recipe**: {words}" in card
    assert "| seed | 3 |" in card
    assert "somebody" not in card
    assert "11.11" in card
    assert "12.34" not in card

    save_weights(run.weights, classifier, {})
    errors = {"top1_error_pct": 1.0, "top5_error_pct": 0.0, "images": 18, "provenance": PROVENANCE}
    test = {"views": "1-crop", "data": "18 of 20 images of /home/somebody/flowers/val", **errors}
    (tmp_path / EVALUATIONS).write_text(json.dumps([test]))
    export_weights(run.path, "huggingface", tmp_path / "final")
    card = (tmp_path / "final/README.md").read_text()
    assert "## Errors, 1-crop on 18 of 20 images of val" in card
    assert "somebody" not in card
    (tmp_path / EVALUATIONS).write_text("[1]")
    with pytest.raises(UserError, match=r"evaluations.json is not as deepres writes it"):
        export_weights(run.path, "huggingface", tmp_path / "damaged")


def test_a_run_that_is_being_extended_is_told_by_the_length_of_its_weights(tmp_path: Path) -> None:
    classifier = Classifier(build_network("resnet8"), torch.rand(3, 1, 1), tuple("abcdefghij"))
    run = RunFolder(tmp_path)
    run.write_meta(whole_meta(get_recipe("resnet8").scaled_to(4).extended(12)))
    save_weights(run.weights, classifier, {"steps": 4})
    export_weights(run.path, "huggingface", tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert "4 steps, shortened from 64,000" in card
    assert "| steps | 4 |" in card
    assert ": 4 steps, shortened from 64,000" in introduction(run.path)[0]


@pytest.mark.parametrize(("new", "words"), [(["fc"], ", but for fc, made anew."), ([], ".")])
def test_a_card_says_what_was_fine_tuned(tmp_path: Path, new: list[str], words: str) -> None:
    classifier = Classifier(build_network("resnet20"), torch.rand(3, 1, 1), tuple("abcdefghij"))
    given = {"file": "/home/somebody/theirs.safetensors", "sha256": "0a" * 32, "new": new}
    recipe = fine_tuned("resnet20", files=False)
    run, alone = RunFolder(tmp_path / "run"), tmp_path / "alone.safetensors"
    run.write_meta(whole_meta(recipe, initial_weights=given))
    save_weights(run.weights, classifier, {})
    save_weights(alone, classifier, {"initial_weights": given})
    begun = f"begun from the weights theirs.safetensors with SHA-256 {'0a' * 32}{words}\n"
    for source in (run.path, alone):
        export_weights(source, "huggingface", tmp_path / f"{source.stem}-card")
        card = (tmp_path / f"{source.stem}-card" / "README.md").read_text()
        assert f"**Fine-tuned, by no recipe of the paper**: {begun}" in card
        assert "somebody" not in card


def test_an_export_of_bare_weights_says_where_they_are_from(tmp_path: Path) -> None:
    network = build_network("resnet8")
    classifier = Classifier(network, torch.rand(3, 1, 1), tuple("abcdefghij"))
    origin = {"source": "somebody", "file": "their|file.pth"}
    save_weights(tmp_path / "w.safetensors", classifier, {"imported": origin})
    export_weights(tmp_path / "w.safetensors", "huggingface", tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert "| file | their\\|file.pth |" in card
    assert "## Recipe" not in card


def test_the_command_that_publishes_is_one_for_a_shell(tmp_path: Path) -> None:
    classifier = Classifier(build_network("resnet8"), torch.rand(3, 1, 1), tuple("abcdefghij"))
    save_weights(tmp_path / "w.safetensors", classifier, {})
    said: list[str] = []
    export_weights(tmp_path / "w.safetensors", "huggingface", tmp_path / "my net", said.append)
    assert said[-1] == f"to publish it: hf upload OWNER/NAME '{tmp_path}/my net'"


def test_files_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    classifier = Classifier(build_network("resnet8"), torch.rand(3, 1, 1), tuple("abcdefghij"))
    save_weights(tmp_path / "w.safetensors", classifier, {})
    (tmp_path / "out").mkdir()
    (tmp_path / "out/README.md").write_text("mine")
    with pytest.raises(UserError, match=r"README.md is there already and would be replaced"):
        export_weights(tmp_path / "w.safetensors", "huggingface", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["README.md"]
    export_weights(tmp_path / "w.safetensors", "huggingface", tmp_path / "out", force=True)
    assert len(list((tmp_path / "out").iterdir())) == 3
    with pytest.raises(UserError, match="out holds the weights themselves"):
        export_weights(tmp_path / "out", "huggingface", tmp_path / "out", force=True)
