from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import picture, save_pictures

from deepres.cli.main import main
from deepres.data.images import open_image
from deepres.data.views import one_crop
from deepres.models import Classifier, build_network, load_classifier, save_weights


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images at two depths, and an untrained network."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = build_network("resnet14").eval()
    for module in network.modules():  # so that folding it is not for nothing
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    classifier = Classifier(network, torch.full((3, 1, 1), 0.4), tuple("abcdefghij"), short_side=36)
    save_weights(Path("net.safetensors"), classifier, {})
    save_pictures(Path("images/deep/er"), [(40, 50), (64, 36), (36, 36)])
    picture(32, 32, seed=9).save("images/root.png")


def features(*words: str) -> int:
    return main(["features", *words, "--out", "f.npz", "--device", "cpu"])


@pytest.mark.parametrize("layer", ["conv1", "conv2_x", "conv4_x", "fc"])
def test_features_are_the_means_of_what_the_network_computes(layer: str) -> None:
    assert features("net.safetensors", "images", "--layer", layer, "--workers", "0") == 0
    found = np.load("f.npz")
    names = [*(f"deep/er/00{i}.jpg" for i in range(3)), "root.png"]
    assert found["names"].tolist() == names
    classifier = load_classifier("net.safetensors")
    for name, values in zip(names, found["features"], strict=True):
        (crop,) = one_crop(open_image(Path("images", name)), 32, 36)
        x = classifier.prepare(torch.tensor(crop).permute(0, 3, 1, 2))
        stage = classifier.network.intermediates(x).stages[layer].detach()
        expected = stage.mean((2, 3)) if layer != "fc" else stage
        np.testing.assert_allclose(values, expected[0].numpy(), rtol=1e-4, atol=1e-5)
    assert found["features"].dtype == np.float32
    assert str(found["layer"]) == layer
    assert str(found["weights"]) == sha256(Path("net.safetensors").read_bytes()).hexdigest()


def test_the_last_stage_is_the_default_and_workers_change_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert features("net.safetensors", "images", "--workers", "0") == 0
    assert "4 images, 64 features of conv4_x each: f.npz" in capsys.readouterr().out
    alone = dict(np.load("f.npz"))
    assert features("net.safetensors", "images", "--workers", "2") == 0
    for name, array in np.load("f.npz").items():
        np.testing.assert_array_equal(array, alone[name])


def test_bad_images_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deepres.evaluation.features.IMAGES_AT_ONCE", 2)
    Path("images/deep/bad.jpg").write_bytes(b"no image")
    Path("images/deep/worse.png").write_bytes(b"none either")
    words = ("net.safetensors", "images", "--workers", "0")
    assert features(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "bad.jpg: not an image" in line
    assert "--bad-images skip" in line
    assert not Path("f.npz").exists()
    assert features(*words, "--bad-images", "skip") == 0
    lines = [li for li in capsys.readouterr().err.splitlines() if li.startswith("left out: ")]
    assert ["bad.jpg" in lines[0], "worse.png" in lines[1], len(lines)] == [True, True, 2]
    found = np.load("f.npz")
    assert len(found["names"]) == len(found["features"]) == 4
    assert features("net.safetensors", "images/deep", *words[2:], "--bad-images", "skip") == 0
    for path in Path("images/deep/er").iterdir():
        path.unlink()
    assert features("net.safetensors", "images/deep", *words[2:], "--bad-images", "skip") == 2
    assert "and so it is with all other images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("images --layer conv5_x", "unknown layer 'conv5_x'; did you mean conv"),
        ("nowhere", "nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert features("net.safetensors", *words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("f.npz").exists()


def test_the_file_is_npz(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "net.safetensors", "images", "--out", "f.csv"]) == 2
    assert "--out must end in .npz, got f.csv" in capsys.readouterr().err
