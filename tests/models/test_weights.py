import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from made_up_runs import whole_meta
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from deepres.errors import UserError
from deepres.models import Classifier, build_network, load_classifier, save_weights
from deepres.pretrained.introduction import introduction
from deepres.recipes import get_recipe
from deepres.run_places import results_folder

CLASSES = tuple("abcdefghij")


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(build_network("resnet8"), torch.rand(3, 32, 32), CLASSES).eval()


@pytest.fixture
def weights(tmp_path: Path, classifier: Classifier) -> Path:
    save_weights(tmp_path / "model.safetensors", classifier, {"seed": 0})
    return tmp_path / "model.safetensors"


@torch.inference_mode()
def test_a_classifier_comes_back_as_it_was(weights: Path, classifier: Classifier) -> None:
    images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    for path in (weights, weights.parent):
        loaded = load_classifier(path)
        assert loaded.classes == CLASSES
        assert not loaded.training
        torch.testing.assert_close(loaded(images), classifier(images))


def test_loading_does_not_wait_for_pytorchs_compiler(weights: Path) -> None:
    """Its meta device imports it to draw weights, for longer than a small network is loaded."""
    program = f"""
import sys
from collections.abc import Callable
from deepres.models import load_classifier
load_classifier({str(weights)!r})
sys.exit(", ".join(sys.modules.keys() & {{"torch._dynamo", "sympy"}}) or None)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@torch.inference_mode()
def test_a_classifier_for_inference_is_fused_and_computes_the_same(
    weights: Path, classifier: Classifier
) -> None:
    images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    loaded = load_classifier(weights, for_inference=True)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in loaded.modules())
    torch.testing.assert_close(loaded(images), classifier(images), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_input_is_scaled_and_its_mean_subtracted(classifier: Classifier) -> None:
    images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    expected = classifier.network(images / 255 - classifier.mean)
    torch.testing.assert_close(classifier(images), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("fc.bias"), "fc.bias is missing"),
        (lambda t: t.pop("input_mean"), "input_mean is missing"),
        (lambda t: t.update(extra=torch.ones(1)), "extra is not part of it"),
        (
            lambda t: t.update({"fc.weight": torch.ones(10, 3)}),
            r"fc.weight has shape \(10, 3\), expected \(10, 64\)",
        ),
    ],
)
def test_loading_is_strict(weights: Path, change, message: str) -> None:
    tensors = load_file(weights)
    change(tensors)
    view = {"crop": 32, "short_side": 32}
    meta = {"architecture": {"name": "resnet8"}, "classes": CLASSES, **view}
    save_file(tensors, weights, metadata={"deepres": json.dumps(meta)})
    with pytest.raises(UserError, match=message):
        load_classifier(weights)


def test_what_is_no_weight_file_is_named(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        load_classifier(tmp_path / "nowhere")
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match=r"run is no run: it has neither recipe.json nor model\."):
        load_classifier(tmp_path / "run")
    (tmp_path / "run/recipe.json").write_text(json.dumps(whole_meta(get_recipe("resnet20"))))
    with pytest.raises(UserError, match="finish it: deepres train --resume"):
        load_classifier(tmp_path / "run")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"is damaged or no safetensors file; .* deepres import"):
        load_classifier(weights)
    save_file({"a": torch.ones(1)}, weights)
    with pytest.raises(UserError, match=r"was not written by deepres: .* deepres import NETWORK"):
        load_classifier(weights)


@pytest.mark.parametrize("read", [load_classifier, introduction])
def test_weights_that_may_not_be_read_are_not_called_damaged(
    weights: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    def denied(*asked: object) -> object:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(UserError, match=r"cannot read .*: Permission denied; mend its permissions"):
        read(weights)


@pytest.mark.parametrize("kind", ["of the future", "of the past"])
def test_weights_of_another_version(weights: Path, kind: str) -> None:
    with safe_open(weights, "pt") as archive:
        meta = json.loads(archive.metadata()["deepres"])
    options = {"gates": 3} if kind == "of the future" else {"shortcut": None, "pool": None}
    meta["architecture"] |= options
    save_file(load_file(weights), weights, metadata={"deepres": json.dumps(meta)})
    if kind == "of the past":  # what was not given was kept as None
        expected = {"name": "resnet8", "num_classes": 10, "residual_layers": 2}
        assert load_classifier(weights).network.architecture == expected
    else:
        with pytest.raises(UserError, match=r"was written by another version .*'gates'"):
            load_classifier(weights)


@torch.inference_mode()
def test_options_that_leave_no_trace_in_shapes_are_kept(tmp_path: Path) -> None:
    network = build_network("resnet50", stride_on="3x3", pool="ceil", num_classes=4)
    mean, std = torch.rand(3, 64, 64), torch.rand(3, 1, 1) + 0.1
    classifier = Classifier(network, mean, tuple("abcd"), std=std, crop=64, short_side=73).eval()
    save_weights(tmp_path / "a.safetensors", classifier, {})
    images = torch.randint(256, (1, 3, 64, 64), dtype=torch.uint8)
    loaded = load_classifier(tmp_path / "a.safetensors")
    assert (loaded.crop, loaded.short_side) == (64, 73)
    torch.testing.assert_close(loaded(images), classifier(images))


@torch.inference_mode()
def test_images_of_another_size_get_the_mean_images_mean(classifier: Classifier) -> None:
    images = torch.randint(256, (2, 3, 40, 36), dtype=torch.uint8)
    expected = images / 255 - classifier.mean.mean((1, 2), keepdim=True)
    torch.testing.assert_close(classifier.prepare(images), expected)


@torch.inference_mode()
def test_a_mean_of_channels_may_be_a_plain_vector(tmp_path: Path, classifier: Classifier) -> None:
    """As in a detector's file; of the preparation, too, which is told before the weights load."""
    colour, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.1, 0.2, 0.3])
    plain = Classifier(classifier.network, colour, CLASSES, std=std)
    save_weights(tmp_path / "a.safetensors", plain, {})
    loaded = load_classifier(tmp_path / "a.safetensors")
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = (images / 255 - colour.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(loaded.prepare(images), expected)
    told = introduction(tmp_path / "a.safetensors")[-1]
    assert told.endswith("the mean 0.4 0.5 0.6 is subtracted, then the std 0.1 0.2 0.3 divides")


@pytest.mark.parametrize("place", range(0, 100, 7))
def test_any_flipped_bit_is_found(weights: Path, place: int) -> None:
    content = bytearray(weights.read_bytes())
    length = int.from_bytes(content[:8], "little")
    content[8 + length + place * (len(content) - 8 - length) // 100] ^= 1 << place % 8
    weights.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: its content does not match its checksum"):
        load_classifier(weights)


def test_what_is_noted_of_the_weights_belongs_to_what_is_checked(weights: Path) -> None:
    content = weights.read_bytes()
    assert content.count(b'\\"a\\", \\"b\\"') == 1  # two classes
    weights.write_bytes(content.replace(b'\\"a\\", \\"b\\"', b'\\"b\\", \\"a\\"'))
    with pytest.raises(UserError, match="does not match its checksum"):
        load_classifier(weights)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layer1.0.conv1.weight", float("nan"), "conv1.weight holds a value that is no finite"),
        ("fc.bias", float("inf"), "fc.bias holds a value that is no finite number"),
        ("bn1.running_var", -1e-3, "bn1.running_var holds a negative variance"),
        ("input_mean", 1.5, "input_mean holds a mean of the input outside 0 to 1"),
        ("input_std", 0.0, "input_std holds a standard deviation .* not above 0"),
        ("input_std", -1.0, "input_std holds a standard deviation .* not above 0"),
    ],
)
def test_files_without_a_digest_hold_numbers_that_a_network_can_have(
    weights: Path, name: str, value: float, message: str
) -> None:
    tensors = load_file(weights)
    with safe_open(weights, "pt") as archive:
        notes = archive.metadata()["deepres"]
    save_file(tensors, weights, metadata={"deepres": notes})
    assert load_classifier(weights).classes == CLASSES
    tensors[name].view(-1)[-1] = value
    save_file(tensors, weights, metadata={"deepres": notes})
    with pytest.raises(UserError, match=message):
        load_classifier(weights)


@pytest.mark.parametrize(
    "run", sorted(results_folder().glob("*/model.safetensors")), ids=lambda run: run.parent.name
)
def test_weights_that_come_with_deepres_load(run: Path) -> None:
    assert load_classifier(run).classes[0] == "airplane"
