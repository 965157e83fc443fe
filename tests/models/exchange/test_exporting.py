"""Files for other programs: each is read by other code than wrote it, and must say the same."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from deepres.errors import UserError
from deepres.models import Classifier, build_network, load_classifier, save_weights
from deepres.models.create import he_initialise
from deepres.models.exchange import export_weights, exporting
from deepres.models.exchange.caffe_deploy import deploy_text
from deepres.models.exchange.onnx_file import check_sizes, encode_onnx, run_onnx

onnx = pytest.importorskip("onnx", reason="deepres[onnx] brings it")
onnxruntime = pytest.importorskip("onnxruntime", reason="deepres[onnx] brings it")
text_format = pytest.importorskip("google.protobuf.text_format", reason="deepres[onnx] brings it")

WEIGHTED = {"Convolution", "BatchNorm", "Scale", "InnerProduct"}  # Caffe's layers that have blobs


def make_classifier(name: str, side: int | None = None, **options: str) -> Classifier:
    torch.manual_seed(0)
    network = build_network(name, num_classes=4, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.0)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.2, 0.2)
    size = side or network.input_size
    mean, std = torch.rand(3, size, size), torch.rand(3, 1, 1) + 0.1
    return Classifier(network, mean, tuple("abcd"), std=std, crop=size).eval()


def save(folder: Path, classifier: Classifier) -> Path:
    file = folder / "weights.safetensors"
    save_weights(file, classifier, {"seed": 1})
    return file


def random_images(side: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (2, 3, side, side), dtype=torch.uint8, generator=generator)


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert expected.std() > 0
    assert (found - expected).norm() / expected.norm() < 1e-5


def numbers(blob) -> Tensor:
    return torch.from_numpy(np.array(blob.data, np.float32))


@torch.inference_mode()
def test_caffe_computes_the_same(
    tmp_path: Path, caffe: SimpleNamespace, run_caffe: Callable[..., dict[str, Tensor]]
) -> None:
    classifier = make_classifier("resnet50", side=64, pool="ceil")
    weights = save(tmp_path, classifier)
    model, mean_file, deploy = export_weights(weights, "caffe")
    assert model.name == "resnet50.caffemodel"
    blobs = {
        layer.name: [numbers(b).reshape(tuple(b.shape.dim)) for b in layer.blobs]
        for layer in caffe.NetParameter.FromString(model.read_bytes()).layer
    }
    net = text_format.Parse(deploy.read_text(), caffe.NetParameter())
    assert blobs.keys() == {layer.name for layer in net.layer if layer.type in WEIGHTED}
    assert list(net.input_dim) == [1, 3, 64, 64]
    mean = caffe.BlobProto.FromString(mean_file.read_bytes())
    mean_bgr = numbers(mean).reshape(mean.num, mean.channels, mean.height, mean.width)
    images = random_images(64)
    tops = run_caffe(net, blobs, images.flip(1).float() - mean_bgr)
    assert_close(tops["fc1000"], classifier(images))
    assert_close(tops["prob"], classifier(images).softmax(1))
    for file in (model, weights):
        file.unlink()  # 90 MB, which pytest would keep


def test_prototxt_of_resnet101_halves_where_the_paper_does(caffe: SimpleNamespace) -> None:
    net = text_format.Parse(deploy_text("resnet101", 1000, 224), caffe.NetParameter())
    layers = {layer.name: layer for layer in net.layer}
    convolutions = {n: v.convolution_param for n, v in layers.items() if v.type == "Convolution"}
    assert len(convolutions) == 100 + 4
    assert {name for name, p in convolutions.items() if p.stride[0] == 2} == {
        "conv1",
        *(f"res{stage}a_{branch}" for stage in "345" for branch in ("branch1", "branch2a")),
    }
    assert convolutions["res4b22_branch2c"].num_output == 1024
    assert not convolutions["conv1"].bias_term  # only ResNet-50's has one
    assert list(layers["res4b1"].bottom) == ["res4a", "res4b1_branch2c"]


@torch.inference_mode()
@pytest.mark.parametrize("name", ["resnet8", "highway19"])
def test_onnx_computes_the_same_at_any_size(tmp_path: Path, name: str) -> None:
    classifier = make_classifier(name)
    said: list[str] = []
    (file,) = export_weights(save(tmp_path, classifier), "onnx", say=said.append)
    assert "checked: onnxruntime gives the same logits for inputs of 1×3×32×32 and" in said[0]
    session = onnxruntime.InferenceSession(file)
    for shape in ((1, 3, 32, 32), (5, 3, 47, 24)):
        x = torch.randn(shape)
        (logits,) = session.run(["logits"], {"image": x.numpy()})
        assert_close(torch.from_numpy(logits), classifier.network(x))
    (about,) = onnx.load(file).metadata_props
    described = json.loads(about.value)
    assert about.key == "deepres"
    assert described["classes"] == list("abcd")
    images = random_images(32)
    prepared = (images / 255 - torch.tensor(described["mean"])) / torch.tensor(described["std"])
    torch.testing.assert_close(prepared, classifier.prepare(images))
    assert str(Path(exporting.__file__).parent).encode() not in file.read_bytes()


@torch.inference_mode()
def test_vggs_onnx_has_one_size_and_any_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepres.models.vgg.WIDTHS", (4, 4, 4, 4, 4))  # a narrow one will do
    with torch.device("meta"):
        network = build_network("vgg16")
    network.features.to_empty(device="cpu")
    network.classifier = nn.Linear(4 * 7 * 7, 2)
    he_initialise(network)
    classifier = Classifier(network, torch.zeros(3, 1, 1), ("a", "b"), crop=64).eval()
    content = encode_onnx(classifier)
    dims = onnx.load_from_string(content).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", 3, 64, 64]
    (tmp_path / "a.onnx").write_bytes(content)
    assert check_sizes(classifier) == [(1, 64, 64), (3, 64, 64)]
    x = torch.randn(3, 3, 64, 64)
    assert_close(run_onnx(tmp_path / "a.onnx", x), network(x))


def test_torchvisions_preparation_is_described_beside(tmp_path: Path) -> None:
    classifier = make_classifier("resnet18", side=64, shortcut="B")
    file, beside = export_weights(save(tmp_path, classifier), "torchvision")
    theirs = torchvision.models.resnet18(num_classes=4).eval()
    theirs.load_state_dict(torch.load(file, weights_only=True), strict=True)
    described = json.loads(beside.read_text())
    assert (described["short_side"], described["crop"]) == (64, 64)
    mean, std = torch.tensor(described["mean"]), torch.tensor(described["std"])
    images = random_images(64)
    with torch.inference_mode():
        assert_close(theirs((images / 255 - mean) / std), classifier(images))


def test_a_bare_copy_carries_everything(tmp_path: Path) -> None:
    weights = save(tmp_path, make_classifier("resnet8"))
    (copy,) = export_weights(weights, "safetensors")
    assert copy == tmp_path / "resnet8.safetensors"
    assert copy.read_bytes() == weights.read_bytes()
    assert load_classifier(copy).classes == tuple("abcd")


@pytest.mark.parametrize(
    ("name", "options", "target", "message"),
    [
        ("resnet8", {}, "torchvision", "torchvision has no resnet8; it has resnet18, resnet34"),
        ("plain18", {}, "torchvision", "torchvision has no plain18"),
        ("highway19", {}, "torchvision", "torchvision has no highway19"),
        ("highway19", {}, "caffe", "known for resnet50, resnet101, resnet152, not for highway19"),
        ("resnet18", {}, "torchvision", "has shortcut A, torchvision's has B"),
        ("resnet18", {"shortcut": "C"}, "torchvision", "has shortcut C, torchvision's has B"),
        ("resnet50", {}, "torchvision", "has stride_on 1x1, torchvision's has 3x3"),
        (
            "resnet50",
            {"stride_on": "3x3", "pool": "ceil"},
            "torchvision",
            "has pool ceil, torchvision's has pad",
        ),
        ("resnet18", {}, "caffe", "known for resnet50, resnet101, resnet152, not for resnet18"),
        ("resnet50", {}, "caffe", "has pool pad, Caffe's has ceil"),
        ("resnet50", {"pool": "ceil", "shortcut": "A"}, "caffe", "shortcut A, Caffe's has B"),
        ("resnet8", {}, "keras", "unknown target 'keras'"),
    ],
)
def test_other_networks_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name, options, target, message
) -> None:
    with torch.device("meta"):
        network = build_network(name, num_classes=4, **options)
    small = Classifier(network, torch.zeros(3, 1, 1), tuple("abcd"))
    monkeypatch.setattr(exporting, "weights_file", lambda path: path)
    monkeypatch.setattr(exporting, "load_classifier", lambda path: small)
    with pytest.raises(UserError, match=message):
        export_weights(tmp_path / "w.safetensors", target)
    assert not list(tmp_path.iterdir())


def test_a_file_that_computes_something_else_never_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = save(tmp_path, make_classifier("resnet8"))
    monkeypatch.setattr(exporting, "encode_onnx", lambda classifier: b"graph")
    out = tmp_path / "a.onnx"
    out.write_bytes(b"what was there")
    for wrong in (0.01, torch.nan):
        monkeypatch.setattr(exporting, "run_onnx", lambda file, x, w=wrong: torch.full((1, 4), w))
        with pytest.raises(UserError, match=r"a\.onnx was not written: it does not give"):
            export_weights(weights, "onnx", out)
    assert {file.name for file in tmp_path.iterdir()} == {weights.name, out.name}
    assert out.read_bytes() == b"what was there"


def test_tensors_that_come_back_changed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = save(tmp_path, make_classifier("resnet18", side=64, shortcut="B"))
    state = load_classifier(weights).network.state_dict()
    state["fc.bias"] = state["fc.bias"] + 1e-3
    monkeypatch.setattr(exporting, "read_state_dict", lambda file: state)
    (tmp_path / "a.json").write_bytes(b"what was there")
    with pytest.raises(UserError, match=r"a.pth was not written: fc.bias did not come back"):
        export_weights(weights, "torchvision", tmp_path / "a.pth", force=True)
    assert {file.name for file in tmp_path.iterdir()} == {weights.name, "a.json"}
    assert (tmp_path / "a.json").read_bytes() == b"what was there"


def test_a_refused_export_to_caffe_leaves_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = save(tmp_path, make_classifier("resnet50", side=64, pool="ceil"))
    other = make_classifier("resnet50", side=64)
    monkeypatch.setattr(exporting, "import_weights", lambda *_, **__: other)
    with pytest.raises(UserError, match=r"a\.caffemodel was not written: it does not give"):
        export_weights(weights, "caffe", tmp_path / "a.caffemodel")
    assert list(tmp_path.iterdir()) == [weights]
    weights.unlink()  # 90 MB, which pytest would keep


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_onnx_the_way_to_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    weights = save(tmp_path, make_classifier("resnet8"))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"pip install 'deepres\[onnx\]'"):
        export_weights(weights, "onnx")
    assert list(tmp_path.iterdir()) == [weights]


def test_the_weights_are_not_replaced(tmp_path: Path) -> None:
    weights = save(tmp_path, make_classifier("resnet8"))
    with pytest.raises(UserError, match="would replace the weights themselves"):
        export_weights(weights, "safetensors", weights)
    with pytest.raises(UserError, match=r"a file for onnx ends in \.onnx, got a\.pth"):
        export_weights(weights, "onnx", Path("a.pth"))
