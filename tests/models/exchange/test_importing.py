"""Weights of torchvision and timm: the same outputs here, and nothing run that a file brings."""

import pickle
from argparse import Namespace
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from deepres.data.cifar10 import Cifar10
from deepres.errors import UserError
from deepres.models import Classifier, build_network, load_classifier, save_weights
from deepres.models.exchange import export_weights, import_weights
from deepres.models.exchange.importing import _torchvision_vgg

timm = pytest.importorskip("timm", reason="deepres[test] brings it")

SIZE = {"crop": 64, "short_side": 72}


def settle(model: nn.Module) -> None:
    """Give BN statistics and weights that a trained net could have: none of them neutral."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.0, generator=generator)
            for tensor in (module.bias.data, module.running_mean):
                tensor.uniform_(-0.2, 0.2, generator=generator)


@torch.inference_mode()
def assert_same_outputs(classifier: Classifier, theirs: nn.Module, sample: Cifar10) -> None:
    images = nn.functional.interpolate(sample.test.images[:2], size=(64, 64))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    prepared = torchvision.transforms.functional.normalize(images / 255, mean, std)
    expected = theirs.eval()(prepared)
    assert expected.std() > 0
    assert (classifier(images) - expected).norm() / expected.norm() < 1e-5


def test_torchvision_and_back(tmp_path: Path, sample: Cifar10) -> None:
    theirs = torchvision.models.resnet50(num_classes=7)
    settle(theirs)
    wrapped = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "a.pth")
    said: list[str] = []
    file = tmp_path / "a.pth"
    classifier = import_weights(file, "resnet50", "torchvision", **SIZE, say=said.append)
    assert any("halve the map in the 3×3; the paper's do so in their first 1×1" in s for s in said)
    assert classifier.classes == tuple("0123456")
    assert_same_outputs(classifier, theirs, sample)

    save_weights(tmp_path / "ours.safetensors", classifier, {})
    loaded = load_classifier(tmp_path / "ours.safetensors")
    assert (loaded.crop, loaded.short_side) == (64, 72)
    assert_same_outputs(loaded, theirs, sample)
    for source in ("torchvision", "caffe"):
        with pytest.raises(UserError, match="is deepres's own already, and needs no import"):
            import_weights(tmp_path / "ours.safetensors", "resnet50", source)

    out = tmp_path / "back.pth"
    assert export_weights(tmp_path / "ours.safetensors", "torchvision", out)[0] == out
    again = torchvision.models.resnet50(num_classes=7)
    again.load_state_dict(torch.load(out, weights_only=True), strict=True)
    expected = theirs.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in again.state_dict().items())


def test_timm_as_safetensors(tmp_path: Path, sample: Cifar10) -> None:
    theirs = timm.create_model("resnet18", num_classes=5)
    settle(theirs)
    state = {k: t for k, t in theirs.state_dict().items() if "num_batches_tracked" not in k}
    save_file(state, tmp_path / "a.safetensors")  # as old files are, without the counters
    said: list[str] = []
    file = tmp_path / "a.safetensors"
    classifier = import_weights(file, "resnet18", "timm", **SIZE, say=said.append)
    assert any("option B" in line for line in said)
    assert_same_outputs(classifier, theirs, sample)


def test_other_precisions_become_float32(tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18(num_classes=5)
    rounded = {name: tensor.half() for name, tensor in theirs.state_dict().items()}  # counters, too
    for number, state in enumerate((theirs.bfloat16().state_dict(), rounded)):
        torch.save(state, file := tmp_path / f"{number}.pth")
        classifier = import_weights(file, "resnet18", "torchvision")
        assert {p.dtype for p in classifier.parameters()} == {torch.float32}
        assert classifier.network.bn1.num_batches_tracked.dtype == torch.int64


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_timms_vgg_fits_under_torchvisions_names(name: str) -> None:
    with torch.device("meta"):
        theirs, ours = timm.create_model(name).state_dict(), build_network(name).state_dict()
    renamed = _torchvision_vgg(theirs)
    assert {k: t.shape for k, t in renamed.items()} == {k: t.shape for k, t in ours.items()}


def test_timms_vgg_head_is_the_same_function() -> None:
    conv = nn.Conv2d(4, 6, 3)
    x = torch.randn(2, 4, 3, 3)
    renamed = _torchvision_vgg({f"pre_logits.fc1.{k}": t for k, t in conv.state_dict().items()})
    weight, bias = renamed["classifier.0.weight"], renamed["classifier.0.bias"]
    torch.testing.assert_close(nn.functional.linear(x.flatten(1), weight, bias), conv(x).flatten(1))


class Trap:
    """Pickled, it makes whoever unpickles it create a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_does_not_run(tmp_path: Path, zipped: bool) -> None:
    mark, file = tmp_path / "ran", tmp_path / "trap.pth"
    trap = {"fc.weight": torch.ones(2, 512), "extra": Trap(mark)}
    torch.save(trap, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"trap.pth .* needs code to be run, which is refused"):
        import_weights(file, "resnet18", "torchvision")
    file.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(UserError, match="which is refused"):
        import_weights(file, "resnet18", "timm")
    assert not mark.exists()
    pickle.loads(file.read_bytes())
    assert mark.exists()  # the trap works


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(), tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"save one by torch.save\(model.state_dict"):
        import_weights(tmp_path / "a.pth", "resnet18", "torchvision")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return torchvision.models.resnet18(num_classes=5).state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layer3.1.bn2.bias"), "layer3.1.bn2.bias is missing"),
        (lambda s: s.pop("fc.weight"), "fc.weight is missing"),
        (lambda s: s.update({"conv1.bias": torch.ones(64)}), "conv1.bias is not part of it"),
        (
            lambda s: s.update({"conv1.weight": torch.ones(64, 3, 3, 3)}),
            r"conv1.weight has shape \(64, 3, 3, 3\), expected \(64, 3, 7, 7\)",
        ),
        (lambda s: s.update(epoch=3), "'epoch' is no tensor"),
        (lambda s: s.clear(), "holds no state dict"),
        (lambda s: s.update({"fc.bias": torch.full((5,), torch.nan)}), "fc.bias .* no finite"),
    ],
)
def test_fit_is_strict(tmp_path: Path, state: dict[str, Tensor], change, message: str) -> None:
    state = dict(state)
    change(state)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(UserError, match=message):
        import_weights(tmp_path / "a.pth", "resnet18", "torchvision")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00", b"no pickle at all"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"a{suffix} is (damaged|no PyTorch file)"):
        import_weights(file, "resnet18", "timm")


def test_a_cut_checkpoint_is_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"a.pth is (damaged|no PyTorch file)"):
        import_weights(tmp_path / "a.pth", "resnet18", "torchvision")


@pytest.mark.parametrize(
    ("name", "source", "options", "message"),
    [
        ("resnet20", "torchvision", {}, "torchvision has no resnet20; it has resnet18, "),
        ("resnet18", "caffe", {}, "known for resnet50, resnet101, resnet152, not for resnet18"),
        ("resnet50", "onnx", {}, "unknown source of weights 'onnx'"),
        ("resnet50", "caffe", {"crop": 300}, "crop 300, short side 256"),
        ("resnet50", "timm", {"mean": Path("a")}, "timm has fixed constants"),
        ("resnet50", "timm", {}, "nowhere: no such file"),
        ("resnet50", "caffe", {}, "cannot read nowhere: No such file"),
    ],
)
def test_impossible_requests_are_one_clear_line(name, source, options, message) -> None:
    with pytest.raises(UserError, match=message):
        import_weights(Path("nowhere"), name, source, **options)


@pytest.mark.parametrize(
    ("raw", "averaged"), [("state_dict", "state_dict_ema"), ("model", "model_ema")]
)
def test_of_raw_and_averaged_weights_the_averaged_are_taken(
    tmp_path: Path, state: dict[str, Tensor], raw: str, averaged: str
) -> None:
    """timm's names, and those of torchvision's scripts, whose averages count their steps."""
    mean = {f"module.{name}": tensor * 2 for name, tensor in state.items()}
    both = {raw: state, averaged: {"n_averaged": torch.tensor(9), **mean}, "epoch": 3}
    file = tmp_path / "a.pth"
    torch.save(both, file)
    said: list[str] = []
    classifier = import_weights(file, "resnet18", "timm", say=said.append)
    assert torch.equal(classifier.network.conv1.weight, 2 * state["conv1.weight"])
    assert said[0] == (
        f"{file} holds several networks; taking {averaged}, a moving average of weights; "
        f"another one by --key: {raw}"
    )
    said.clear()
    classifier = import_weights(file, "resnet18", "timm", key=raw, say=said.append)
    assert torch.equal(classifier.network.conv1.weight, state["conv1.weight"])
    assert not any("several networks" in line for line in said)
    with pytest.raises(UserError, match=f"no weights under 'epoch'; it has them under {averaged}"):
        import_weights(file, "resnet18", "timm", key="epoch")
    torch.save({raw: state, averaged: None}, file)
    import_weights(file, "resnet18", "timm", say=said.append)
    assert not any("several networks" in line for line in said)


@pytest.mark.parametrize("zipped", [True, False])
def test_options_of_training_scripts_may_lie_beside_the_weights(
    tmp_path: Path, state: dict[str, Tensor], zipped: bool
) -> None:
    """Those of torchvision and timm save what their command lines were."""
    file, options = tmp_path / "a.pth", Namespace(model="resnet18", lr=0.1, data=None)
    content = {"model": state, "epoch": 3, "args": options}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    classifier = import_weights(file, "resnet18", "torchvision")
    assert torch.equal(classifier.network.conv1.weight, state["conv1.weight"])
    options.trap = Trap(tmp_path / "ran")
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="needs code to be run, which is refused"):
        import_weights(file, "resnet18", "torchvision")
    assert not options.trap.mark.exists()


def test_any_key_may_be_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    file = tmp_path / "a.pth"
    torch.save({"net": {"state_dict": state}, "lr": 0.1}, file)
    with pytest.raises(UserError, match=r"'net' is no tensor; .* holds the weights by --key"):
        import_weights(file, "resnet18", "torchvision")
    classifier = import_weights(file, "resnet18", "torchvision", key="net")
    assert torch.equal(classifier.network.conv1.weight, state["conv1.weight"])
    torch.save(state, file)
    with pytest.raises(UserError, match="no weights under 'net'; it has them without a key"):
        import_weights(file, "resnet18", "torchvision", key="net")


def test_a_name_that_all_have_in_common_is_left_off(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    """Lightning's modules keep the network in one of their own."""
    file = tmp_path / "a.ckpt"
    torch.save({"state_dict": {f"net.model.{name}": each for name, each in state.items()}}, file)
    said: list[str] = []
    classifier = import_weights(file, "resnet18", "torchvision", say=said.append)
    assert torch.equal(classifier.network.conv1.weight, state["conv1.weight"])
    assert said[:2] == [
        f"all names in {file} begin with {n!r}, which is left off" for n in ("net.", "model.")
    ]
    others = {f"model.{name}": each for name, each in state.items()}
    torch.save({"state_dict": {**others, "loss.weight": torch.ones(5)}}, file)
    with pytest.raises(UserError, match=r"conv1\.weight is missing, but there is model\.conv1\.w"):
        import_weights(file, "resnet18", "torchvision")
    torch.save({**state, "module.fc.bias": state["fc.bias"]}, file)
    with pytest.raises(UserError, match=r"holds 'fc\.bias' twice, with and without its prefix"):
        import_weights(file, "resnet18", "torchvision")


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
def test_weights_that_are_no_floating_point_numbers_are_named(
    tmp_path: Path, state: dict[str, Tensor], dtype: torch.dtype
) -> None:
    torch.save({**state, "fc.weight": state["fc.weight"].to(dtype)}, tmp_path / "a.pth")
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(UserError, match=rf"holds {kind} numbers for fc\.weight, and floating-po"):
        import_weights(tmp_path / "a.pth", "resnet18", "torchvision")


@pytest.mark.filterwarnings(
    "ignore:.torch.jit:FutureWarning", "ignore:.torch.jit:DeprecationWarning"
)
def test_torchscript_is_named_and_not_run(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 3)), tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"a\.pt is TorchScript, .* programs are not run"):
        import_weights(tmp_path / "a.pt", "resnet18", "torchvision")


def test_what_is_no_dense_tensor_or_is_inside_itself_is_one_line(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    file = tmp_path / "a.pth"
    torch.save({**state, "fc.weight": state["fc.weight"].to_sparse()}, file)
    with pytest.raises(UserError, match=r"sparse tensor, 'fc\.weight'"):
        import_weights(file, "resnet18", "torchvision")
    torch.save({**state, "fc.weight": state["fc.weight"].to("meta")}, file)
    with pytest.raises(UserError, match=r"holds no numbers of 'fc\.weight', only its shape"):
        import_weights(file, "resnet18", "torchvision")
    endless: dict[str, object] = {}
    endless["model"] = endless
    torch.save(endless, file)
    with pytest.raises(UserError, match="'model' is no tensor"):
        import_weights(file, "resnet18", "torchvision")
