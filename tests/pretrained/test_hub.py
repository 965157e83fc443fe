"""Weights on the Hugging Face hub, from a server on this machine that answers as the hub does."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save
from torch import Tensor
from weight_layouts import to_transformers

import deepres
from deepres.errors import UserError
from deepres.models.exchange import export_weights
from deepres.pretrained import find_weights

constants = pytest.importorskip("huggingface_hub.constants", reason="deepres[test] brings it")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def publish(server: Any, repository: str, files: dict[str, bytes]) -> None:
    """Put a repository on the server."""
    siblings = [{"rfilename": name} for name in files]
    about = {"id": repository, "sha": COMMIT, "siblings": siblings, "private": False}
    json_type = {"Content-Type": "application/json"}
    for revision in ("main", COMMIT):
        path = f"/api/models/{repository}/revision/{revision}"
        server.files[path] = (json.dumps(about).encode(), json_type)
        tree = [{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in files.items()]
        path = f"/api/models/{repository}/tree/{revision}"
        server.files[path] = (json.dumps(tree).encode(), json_type)
        for name, content in files.items():
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            headers = {"X-Repo-Commit": COMMIT, "ETag": etag}
            server.files[f"/{repository}/resolve/{revision}/{name}"] = (content, headers)


def reach(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the library ask there for everything."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(server, tmp_path: Path, hub_folder: Path, monkeypatch: pytest.MonkeyPatch):
    reach(server.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    return server


def test_our_own_export_comes_back(hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = find_weights("resnet20-2000steps-s0")
    files = export_weights(run, "huggingface", tmp_path / "out")
    publish(hub, "me/resnet20", {file.name: file.read_bytes() for file in files})
    images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    expected = deepres.load_model(run)(images)
    assert torch.equal(deepres.load_model("hf:me/resnet20")(images), expected)
    said: list[str] = []
    find_weights("hf:me/resnet20", say=said.append)
    assert said[0] == "resnet20: weights of hf:me/resnet20"
    reach("http://127.0.0.1:9", monkeypatch)  # no network any more
    assert torch.equal(deepres.load_model("hf:me/resnet20")(images), expected)


def test_transformers_weights_by_name(hub, images: Tensor) -> None:
    theirs = torchvision.models.resnet18(num_classes=4).eval()
    state = {k: v.contiguous() for k, v in to_transformers(theirs.state_dict()).items()}
    config = {
        "model_type": "resnet",
        "layer_type": "basic",
        "depths": [2, 2, 2, 2],
        "hidden_sizes": [64, 128, 256, 512],
    }
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": save(state)}
    publish(hub, "they/resnet-18", {**files, "tf_model.h5": b"not fetched"})
    found = deepres.load_model("resnet18", weights="hf:they/resnet-18@main")
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    with torch.inference_mode():
        expected = theirs(torchvision.transforms.functional.normalize(images / 255, mean, std))
        assert (found(images) - expected).norm() / expected.norm() < 1e-5
    assert not any("tf_model" in path for _, path, _ in hub.requests)


def test_what_is_not_there_is_one_line(hub) -> None:
    with pytest.raises(UserError, match="hf:no/body cannot be fetched: ") as error:
        deepres.load_model("hf:no/body")
    assert "\n" not in str(error.value)
    publish(hub, "they/other", {"config.json": b'{"model_type": "bert"}'})
    with pytest.raises(UserError, match="its model_type is 'bert'"):
        deepres.load_model("hf:they/other")
    with pytest.raises(UserError, match="names nothing on the hub; write hf:owner/name"):
        deepres.load_model("hf:resnet50")


def test_without_the_library_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'deepres\[huggingface\]'"):
        find_weights("hf:me/resnet20")
