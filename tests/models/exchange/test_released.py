"""The authors' models as other programs keep them: one network, written in each layout."""

import copy
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from weight_layouts import (
    MEANS_BGR,
    WRITERS,
    detectron_arrays,
    in_bgr_with_biases,
    python2_pickle,
    trained_like,
)

from deepres.errors import UserError
from deepres.models import StagedNetwork
from deepres.models.exchange import import_weights
from deepres.models.exchange.array_pickle import read_arrays
from deepres.models.exchange.detectron import our_names
from deepres.models.exchange.keras_h5 import our_layers
from deepres.models.exchange.released_state import to_rgb_without_biases

pytest.importorskip("h5py", reason="deepres[test] brings it")

SIZE = {"crop": 64, "short_side": 72}


@pytest.fixture(scope="module")
def networks() -> dict[str, StagedNetwork]:
    """The same weights in a network that pools as the authors' and in one that pads."""
    padded = trained_like("resnet50", pool="pad")
    reaching = trained_like("resnet50", pool="ceil")
    return {"pad": padded, "ceil": reaching}


@pytest.fixture
def images() -> Tensor:
    seed = torch.Generator().manual_seed(2)
    return torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8, generator=seed)


@torch.inference_mode()
def their_logits(network: StagedNetwork, images: Tensor, source: str) -> Tensor:
    """What the network says of BGR images, as the program feeds them."""
    bgr = copy.deepcopy(network)
    bgr.conv1.weight.data = bgr.conv1.weight.flip(1)
    return bgr(images.flip(1).float() - torch.tensor(MEANS_BGR[source])[:, None, None])


@pytest.mark.parametrize("layout", WRITERS)
def test_a_layout_comes_back_with_the_same_logits(
    tmp_path: Path, networks: dict[str, StagedNetwork], images: Tensor, layout: str
) -> None:
    source, name, write = WRITERS[layout]
    file = tmp_path / name
    write(networks["pad"], file)
    answers = {}
    for pool in ("pad", "ceil") if layout == "detectron" else ("pad",):
        said: list[str] = []
        options = {} if pool == "pad" else {"pool": "ceil"}  # these programs pad
        found = import_weights(file, "resnet50", source, **SIZE, **options, say=said.append)
        expected = their_logits(networks[pool], images, source)
        with torch.inference_mode():
            answers[pool] = found(images)
        assert expected.std() > 0.01
        assert (answers[pool] - expected).norm() / expected.norm() < 1e-5
        assert (found.crop, found.short_side) == (64, 72)
        assert any("stride on the 1×1" in line for line in said)
        assert any("--pool ceil" in line for line in said) == (pool == "pad")
        assert any("merged" in line for line in said) == (layout == "detectron")
    assert "ceil" not in answers or not torch.allclose(answers["pad"], answers["ceil"])
    file.unlink()  # 90 MB, which pytest would keep


@pytest.mark.parametrize(("name", "count"), [("resnet101", 104), ("resnet152", 155)])
def test_deeper_networks_have_a_name_for_every_layer(name: str, count: int) -> None:
    weights = {theirs for theirs in our_names(name) if theirs.endswith("_w")}
    assert len(weights) == count + 1  # fc
    last = {"resnet101": ("res4_22_branch2c_w", "conv4_block23_3_conv")}
    blob, layer = last.get(name, ("res4_35_branch2c_w", "conv4_block36_3_conv"))
    assert our_names(name)[blob] == f"{our_layers(name)[layer]}.weight"
    assert len([layer for layer in our_layers(name) if layer.endswith("_conv")]) == count


def test_what_has_no_classifier_is_refused(networks: dict[str, StagedNetwork]) -> None:
    state = in_bgr_with_biases(networks["pad"], set())
    trunk = {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}
    with pytest.raises(UserError, match=r"a.pth has no classifier \(fc\), only the layers below"):
        to_rgb_without_biases(trunk, "resnet50", Path("a.pth"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layer3.1.bn2.bias"), "layer3.1.bn2.bias is missing"),
        (lambda s: s.clear(), "conv1.weight is missing"),
        (lambda s: s.update(odd=torch.ones(1)), "odd is not part of it"),
        (lambda s: s.update({"conv1.bias": torch.ones(3)}), r"a bias has shape \(3,\)"),
        (lambda s: s.update({"conv1.weight": torch.ones(64)}), r"conv1.weight has shape \(64,\)"),
    ],
)
def test_fit_is_strict(networks: dict[str, StagedNetwork], change, message: str) -> None:
    state = in_bgr_with_biases(networks["pad"], {"conv1"})
    change(state)
    with pytest.raises(UserError, match=message):
        to_rgb_without_biases(state, "resnet50", Path("a.pth"))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8", "|u1", "<i8"])
def test_arrays_come_back_from_any_pickle(tmp_path: Path, protocol: int, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    arrays = {"a": array, "by_columns": np.asfortranarray(array)}
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps({**arrays, "__author__": "x"}, protocol=protocol))
    found = read_arrays(file)
    assert found.pop("__author__") == "x"
    for name, expected in arrays.items():
        assert np.array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype


def test_arrays_come_back_from_python_2(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    (tmp_path / "a.pkl").write_bytes(python2_pickle({"a": array}))
    assert np.array_equal(read_arrays(tmp_path / "a.pkl")["a"], array)


class Trap:
    """Pickled, it makes whoever unpickles it create a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda mark: {"a": Trap(mark)}, "names .*; only arrays are read, and no code is run"),
        (lambda mark: Trap(mark), "only arrays are read"),
        (lambda mark: {"a": np.array([Trap(mark)], dtype=object)}, "only arrays are read"),
        (lambda mark: {"a": np.array([None], dtype=object)}, "holds an array of 'O8'"),
        (lambda mark: {"a": np.array(["x"])}, "holds an array of 'U1'"),
        (lambda mark: {"a": np.float32}, "names numpy.float32"),
        (lambda mark: {"a": eval}, "names builtins.eval"),
        (lambda mark: {"a": [1]}, "holds a list where an array is expected"),
        (lambda mark: {"a": np.dtype("f4")}, "holds a dtype where"),
        (lambda mark: {1: np.ones(1)}, "no dict of arrays by name"),
        (lambda mark: [np.ones(1)], "no dict of arrays by name"),
    ],
)
def test_what_is_no_array_is_refused_and_does_not_run(tmp_path: Path, content, message) -> None:
    mark, file = tmp_path / "ran", tmp_path / "trap.pkl"
    file.write_bytes(pickle.dumps(content(mark), protocol=4))
    with pytest.raises(UserError, match=rf"trap.pkl is refused: it .*{message}"):
        read_arrays(file)
    assert not mark.exists()


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x02}q\x00", b"\x80\x04N."])
def test_damaged_pickles_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"a.pkl is (damaged|refused)"):
        import_weights(tmp_path / "a.pkl", "resnet50", "detectron")


def test_a_cut_pickle_is_named(tmp_path: Path, networks: dict[str, StagedNetwork]) -> None:
    arrays = detectron_arrays(networks["pad"], merged=False)
    content = pickle.dumps({"conv1_w": arrays["conv1_w"]})
    (tmp_path / "a.pkl").write_bytes(content[:-100])
    with pytest.raises(UserError, match=r"a.pkl is damaged or no pickle of arrays"):
        import_weights(tmp_path / "a.pkl", "resnet50", "detectron")


def test_a_damaged_h5_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match=r"a.h5 is damaged or no HDF5 file"):
        import_weights(tmp_path / "a.h5", "resnet50", "keras")
    with pytest.raises(UserError, match="nowhere: no such file"):
        import_weights(Path("nowhere"), "resnet50", "keras")


def test_without_h5py_the_way_to_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"pip install 'deepres\[keras\]'"):
        import_weights(tmp_path / "a.h5", "resnet50", "keras")


def test_pooling_is_known_of_torchvision() -> None:
    with pytest.raises(UserError, match="the pooling of torchvision's networks is known"):
        import_weights(Path("a.pth"), "resnet50", "torchvision", pool="ceil")
