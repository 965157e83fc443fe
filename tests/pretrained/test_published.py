"""Published weights by name, from a server on this machine."""

import hashlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from small_imagenet import jpeg
from torch import Tensor, nn
from weight_layouts import trained_like, write_detectron2

import deepres
from deepres.cli.main import main
from deepres.data.images import open_image
from deepres.data.views import one_crop
from deepres.errors import UserError
from deepres.pretrained import SOURCES, catalogue, find_weights
from deepres.pretrained.catalogue import PUBLISHED, Address


def torchvision_file(tmp_path: Path) -> tuple[nn.Module, bytes]:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=5).eval()
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    return theirs, (tmp_path / "theirs.pth").read_bytes()


@pytest.fixture
def published(server, tmp_path: Path, hub_folder: Path, monkeypatch: pytest.MonkeyPatch):
    """ResNet-18 of torchvision's at the server, under a name that ends in its checksum."""
    theirs, content = torchvision_file(tmp_path)
    file = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    server.files[f"/models/{file}"] = (content, {})
    monkeypatch.setattr(catalogue, "TORCHVISION", f"{server.url}/models")
    monkeypatch.setitem(PUBLISHED["torchvision"], "resnet18", catalogue._torchvision(file))
    return theirs, file, len(content)


@torch.inference_mode()
def test_a_network_and_the_preparation_of_its_input_come_together(
    published, server, hub_folder: Path, images: Tensor
) -> None:
    theirs, file, _ = published
    found = deepres.load_model("resnet18", weights="torchvision")
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    prepared = torchvision.transforms.functional.normalize(images / 255, mean, std)
    expected = theirs(prepared)
    assert (found(images) - expected).norm() / expected.norm() < 1e-5
    assert (found.crop, found.short_side) == (224, 256)
    network = deepres.create_model("resnet18", weights="torchvision").eval()
    assert (network(prepared) - expected).norm() / expected.norm() < 1e-5
    assert len(server.requests) == 1
    kept = hub_folder / "checkpoints" / file  # as torch.hub.load_state_dict_from_url would
    assert torch.load(kept, weights_only=True).keys() == theirs.state_dict().keys()


@torch.inference_mode()
def test_evaluate_by_name(published, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i, name in enumerate("vwxyz"):
        (tmp_path / "data/val" / name).mkdir(parents=True)
        (tmp_path / "data/val" / name / "a.JPEG").write_bytes(jpeg(100 * i))
    data, out = str(tmp_path / "data"), str(tmp_path / "scores.npz")
    command = ["evaluate", "resnet18", "--weights", "torchvision"]
    more = ["--data", data, "--save-scores", out, "--workers", "0", "--device", "cpu"]
    assert main([*command, *more]) == 0
    shown = capsys.readouterr()
    assert f"resnet18: weights of torchvision, {published[1]}" in shown.err
    classifier = deepres.load_model("resnet18", weights="torchvision")
    with np.load(out) as saved:
        assert saved["names"].tolist() == [f"{name}/a.JPEG" for name in "vwxyz"]
        (crops,) = one_crop(open_image(tmp_path / "data/val" / saved["names"][2]), 224, 256)
        expected = classifier(torch.tensor(crops).permute(0, 3, 1, 2)).softmax(1).mean(0)
        np.testing.assert_allclose(saved["scores"][2], expected, atol=1e-5)
        error = 100 * np.mean(saved["scores"].argmax(1) != saved["labels"])
    assert re.search(rf"^resnet18 +{error:.2f} ", shown.out, re.M)


def test_what_torch_hub_has_fetched_is_not_fetched_again(
    published, server, hub_folder: Path, tmp_path: Path
) -> None:
    _, file, _ = published
    (hub_folder / "checkpoints").mkdir(parents=True)
    (tmp_path / "theirs.pth").rename(hub_folder / "checkpoints" / file)
    deepres.load_model("resnet18", weights="torchvision")
    assert server.requests == []


def test_the_screen_says_which_resnet_it_is(published, server) -> None:
    said: list[str] = []
    find_weights("resnet18", say=said.append)  # the only one that has any
    assert f"fetching {server.url}/models/{published[1]} into " in said[0]
    assert said[1:] == [
        f"resnet18: weights of torchvision, {published[1]}",
        "network: shortcuts of option B; the max pool pads a pixel",
        "input: short side 256, crop 224; of R, G, B in [0, 1] the mean 0.485 0.456 0.406 is "
        "subtracted, then the std 0.229 0.224 0.225 divides",
    ]


def test_a_broken_download_goes_on(published, server, hub_folder: Path) -> None:
    _, file, size = published
    server.breaks = [size // 2]
    deepres.load_model("resnet18", weights="torchvision")
    assert [wanted for *_, wanted in server.requests] == [None, f"bytes={size // 2}-"]
    assert (hub_folder / "checkpoints" / file).stat().st_size == size


def test_wrong_content_is_discarded(published, server, hub_folder: Path) -> None:
    path = f"/models/{published[1]}"
    server.files[path] = (b"wrong", {})
    with pytest.raises(UserError, match=r"resnet18 by torchvision cannot be fetched: .*discarded"):
        find_weights("resnet18", "torchvision")
    assert not list((hub_folder / "checkpoints").iterdir())
    assert not list((hub_folder / "deepres").glob("*.safetensors"))


def test_without_a_network_one_line_says_what_to_do(
    published, hub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "TORCHVISION", "http://127.0.0.1:9")
    address = catalogue._torchvision(published[1])
    monkeypatch.setitem(PUBLISHED["torchvision"], "resnet18", address)
    with pytest.raises(UserError) as error:
        deepres.create_model("resnet18", weights="torchvision")
    assert "Connection refused" in str(error.value)
    assert str(error.value).endswith(f"put it there as {hub_folder}/checkpoints/{address.file}")
    assert "\n" not in str(error.value)


def test_the_authors_own_pool_as_the_authors_did(
    server, tmp_path: Path, hub_folder: Path, monkeypatch: pytest.MonkeyPatch, images: Tensor
) -> None:
    network = trained_like("resnet50", pool="ceil")
    write_detectron2(network, tmp_path / "R-50.pkl")
    server.files["/R-50.pkl"] = ((tmp_path / "R-50.pkl").read_bytes(), {})
    known = PUBLISHED["msra"]["resnet50"]
    monkeypatch.setitem(PUBLISHED["msra"], "resnet50", known._replace(url=f"{server.url}/R-50.pkl"))
    said: list[str] = []
    path = find_weights("resnet50", say=said.append)  # before torchvision's
    assert said[1] == "resnet50: weights of msra, detectron2-MSRA-R-50.pkl"
    assert "in their first 1×1, as in the paper; the max pool reaches over the border" in said[2]
    found = deepres.load_model(path)
    with torch.inference_mode():
        expected = network((images / 255 - found.mean) / found.std)
        answer = found(images)
    assert (answer - expected).norm() / expected.norm() < 1e-5
    for file in (tmp_path / "R-50.pkl", path, hub_folder / "checkpoints" / known.file):
        file.unlink()  # 90 MB each, which pytest would keep


def test_a_file_without_a_checksum_that_is_damaged_is_named(
    server, hub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/R-50.pkl"] = (b"<html>sign in</html>", {})
    address = Address(f"{server.url}/R-50.pkl", "detectron", "R-50.pkl")
    monkeypatch.setitem(PUBLISHED["msra"], "resnet50", address)
    with pytest.raises(UserError, match=r"R-50.pkl is damaged .* remove it: it is fetched again"):
        find_weights("resnet50", "msra")


def test_a_damaged_file_of_ours_is_named(published) -> None:
    file = find_weights("resnet18", "torchvision")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"resnet18-torch.* is damaged; .* if it was fetched"):
        find_weights("resnet18", "torchvision", lambda line: None)
    with pytest.raises(UserError, match="is damaged"):
        deepres.load_model("resnet18", weights="torchvision")


def test_what_a_file_needs_is_asked_for_before_it_is_fetched(
    server, hub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    known = PUBLISHED["msra"]["resnet152"]
    monkeypatch.setitem(PUBLISHED["msra"], "resnet152", known._replace(url=f"{server.url}/a.h5"))
    with pytest.raises(UserError, match=r"pip install 'deepres\[keras\]'"):
        find_weights("resnet152", "msra")
    assert server.requests == []


def test_torchvisions_addresses_are_torchvisions() -> None:
    for name, address in PUBLISHED["torchvision"].items():
        weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
        assert address.url == weights.url
        assert len(address.digest) == 8
    assert SOURCES == ("deepres", "msra", "torchvision")


@pytest.mark.parametrize(
    ("subject", "source", "message"),
    [
        ("resnet18", "msra", "msra has no weights of resnet18; it has resnet50, resnet101, resn"),
        ("resnet110", None, "no weights of resnet110 come with deepres .* deepres train resnet110"),
        ("resnet21", None, "no network resnet21: .* did you mean"),
        ("resnet50", "caffe", "unknown source of weights 'caffe'"),
        ("nowhere", None, "nowhere: no such file or folder; give a run's folder, .* name"),
        ("runs/a", "torchvision", "torchvision has no weights of runs/a"),
    ],
)
def test_mistakes_are_one_clear_line(subject, source, message) -> None:
    with pytest.raises(UserError, match=message):
        find_weights(subject, source)


def test_training_takes_weights_by_name(tmp_path: Path) -> None:
    recipe = deepres.detection_recipe("voc07+12", "resnet101")
    with pytest.raises(UserError, match="no weights of resnet101 come with deepres"):
        deepres.train(recipe, tmp_path / "run", None, weights="deepres")
    assert not (tmp_path / "run").exists()


def test_a_path_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("resnet20").mkdir()
    assert find_weights("resnet20") == Path("resnet20")


def test_options_must_be_those_of_the_weights() -> None:
    with pytest.raises(UserError, match="their residual_layers is 2, not 1"):
        deepres.create_model("resnet20", weights="deepres", residual_layers=1)
    with pytest.raises(UserError, match="their name is resnet20, not resnet32"):
        deepres.create_model("resnet32", weights=find_weights("resnet20"))


def test_other_classes_get_a_new_last_layer() -> None:
    whole = deepres.create_model("resnet20", weights="deepres")
    assert whole.training  # as without weights
    renewed = deepres.create_model("resnet20", weights="deepres", num_classes=3)
    assert renewed.fc.weight.shape == (3, 64)
    assert renewed.architecture["num_classes"] == 3
    assert torch.equal(renewed.layer3[2].conv2.weight, whole.layer3[2].conv2.weight)
    assert renewed(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    same = deepres.create_model("resnet20", weights="deepres", num_classes=10)
    assert torch.equal(same.fc.weight, whole.fc.weight)


def test_what_is_given_by_mistake_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="num_classes must be at least 1, got 0"):
        deepres.create_model("resnet20", weights="deepres", num_classes=0)
    with pytest.raises(UserError, match=r"expected a network's name, e\.g\. 'resnet20', got 20"):
        deepres.create_model(20)
    with pytest.raises(UserError, match="a file or a network's name, got 3"):
        deepres.load_model(3)
    with pytest.raises(UserError, match="weights are given by a path or a name, got 3"):
        deepres.create_model("resnet20", weights=3)
    with pytest.raises(UserError, match="device 'gpu' is not available here; use cpu"):
        deepres.load_model("resnet20", device="gpu")
    recipe = deepres.get_recipe("resnet20")
    with pytest.raises(UserError, match=r"as Execution\.on\('cpu'\) makes it, got 'cpu'"):
        deepres.train(recipe, tmp_path / "run", deepres.load_sample(), execution="cpu")
    for load in (deepres.open_image_folder, deepres.load_cifar10):
        with pytest.raises(UserError, match="own"):
            load(str(tmp_path / "own"))
