import json
from pathlib import Path

import pytest
import torch
from made_up_runs import whole_meta
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_localization import tiny_recipe, tiny_weights

from deepres.detection.localizer_file import build_localizer, load_localizer, save_localizer
from deepres.errors import UserError
from deepres.models import load_classifier

ARCHITECTURE = {"name": "resnet8", "num_classes": 2}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    mean, std = torch.full((3, 1, 1), 0.25), torch.full((3, 1, 1), 0.5)
    recipe = tiny_recipe(5)
    localizer = build_localizer(ARCHITECTURE, recipe, ("n01", "n02"), mean, std)
    file = tmp_path / "model.safetensors"
    save_localizer(file, localizer, ARCHITECTURE, recipe, {"mean_box": [0, 0, 1, 1]})
    return file


def test_a_file_holds_all_that_is_needed(saved: Path) -> None:
    torch.manual_seed(0)
    mean, std = torch.full((3, 1, 1), 0.25), torch.full((3, 1, 1), 0.5)
    expected = build_localizer(ARCHITECTURE, tiny_recipe(5), ("n01", "n02"), mean, std)
    for path in (saved, saved.parent):  # the file, or its run's folder
        loaded, meta = load_localizer(path)
        assert meta["mean_box"] == [0, 0, 1, 1]
        assert (loaded.classes, loaded.crop, loaded.short_side) == (("n01", "n02"), 28, 32)
        images = torch.randint(256, (1, 3, 32, 40), dtype=torch.uint8)
        classes = torch.tensor([[1, 0]])
        for ours, theirs in zip(loaded(images, classes), expected(images, classes), strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("shape", [(3,), (3, 2, 2)])
def test_of_the_mean_its_colour_is_taken(saved: Path, shape: tuple[int, ...]) -> None:
    with safe_open(saved, framework="pt") as archive:
        notes = archive.metadata()["deepres"]
    tensors = load_file(saved)
    tensors["input_mean"] = torch.full(shape, 0.25)
    save_file(tensors, saved, metadata={"deepres": notes})
    loaded, _ = load_localizer(saved)
    assert torch.equal(loaded.mean, torch.full((3, 1, 1), 0.25))


def test_a_classifier_is_no_localizer_and_a_localizer_no_classifier(
    tmp_path: Path, saved: Path
) -> None:
    file = tiny_weights(tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="holds a classifier, and a localization network is asked"):
        load_localizer(file)
    with pytest.raises(UserError, match="holds a localization network, and a classifier is"):
        load_classifier(saved)


def test_a_run_without_weights_yet_is_to_be_finished(tmp_path: Path) -> None:
    given = {"path": "a", "sha256": "", "architecture": {"name": "resnet8"}}  # of before
    meta = whole_meta(tiny_recipe(5), weights={**given, "mean": [0.5] * 3, "std": [1.0] * 3})
    (tmp_path / "recipe.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match="finish it: deepres localize train --resume"):
        load_localizer(tmp_path)


def test_damage_is_noticed(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-9])
    with pytest.raises(UserError, match="damaged"):
        load_localizer(saved)
    saved.unlink()
    with pytest.raises(UserError, match="is no run"):
        load_localizer(saved.parent)


def test_weights_must_fit(saved: Path) -> None:
    content = saved.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    described = json.loads(header["__metadata__"]["deepres"])
    described["localizer"]["classes"] = ["n01", "n02", "n03"]
    header["__metadata__"] = {"deepres": json.dumps(described)}  # and no digest
    changed = json.dumps(header).encode()
    saved.write_bytes(len(changed).to_bytes(8, "little") + changed + content[8 + length :])
    with pytest.raises(UserError, match=r"does not fit the network: rpn.head.cls_logits.weight"):
        load_localizer(saved)


def test_a_flipped_bit_is_found(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1000] ^= 64
    saved.write_bytes(content)
    with pytest.raises(UserError, match="is damaged: its content does not match its checksum"):
        load_localizer(saved)
