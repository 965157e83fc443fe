import runpy
from pathlib import Path

import pytest
import torch

import deepres

ROOT = str(Path(__file__).parents[2])


@pytest.mark.skipif(not Path(ROOT, "hubconf.py").exists(), reason="no checkout")
def test_torch_hub_finds_every_network(hub_folder: Path) -> None:
    listed = runpy.run_path(f"{ROOT}/hubconf.py")
    public = {name for name, value in listed.items() if callable(value) and name[0] != "_"}
    assert public == {*deepres.list_models(), "classifier"}  # as torch.hub.list does it
    found = torch.hub.load(ROOT, "resnet20", source="local", weights="deepres").eval()
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    classifier = torch.hub.load(ROOT, "classifier", "resnet20", source="local")
    assert torch.equal(classifier(images), found(classifier.prepare(images)))
    assert torch.hub.load(ROOT, "plain18", source="local", num_classes=3).fc.out_features == 3
