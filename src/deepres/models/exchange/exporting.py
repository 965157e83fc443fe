"""Our weights as files for other programs; each is read back before it takes its name."""

import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from deepres.errors import UserError, unknown_name
from deepres.files import atomic_write, check_free, write_json
from deepres.models.classifier import Classifier
from deepres.models.exchange.caffe import encode_mean, encode_net
from deepres.models.exchange.caffe_deploy import deploy_text
from deepres.models.exchange.caffe_layers import RELEASED, check_released, layers_from_state
from deepres.models.exchange.checkpoint_file import read_state_dict
from deepres.models.exchange.exporting_huggingface import export_folder
from deepres.models.exchange.importing import import_weights, torch_options
from deepres.models.exchange.onnx_file import check_packages, check_sizes, encode_onnx, run_onnx
from deepres.models.exchange.preparation import caffe_mean, describe
from deepres.models.weight_checks import check_fit
from deepres.models.weights import load_classifier
from deepres.run_weights import weights_file

Target = Literal["safetensors", "torchvision", "onnx", "caffe", "huggingface"]
Say = Callable[[str], None]
TARGETS: tuple[str, ...] = get_args(Target)
SUFFIXES = {
    "safetensors": ".safetensors",
    "torchvision": ".pth",
    "onnx": ".onnx",
    "caffe": ".caffemodel",
}
BESIDE = {"torchvision": (".json",), "caffe": (".mean.binaryproto", ".prototxt")}
"""What is written beside the weights."""
TOLERANCE = 1e-4  # of the logits, relative; a wrong layout or preparation is off by far more


def export_weights(
    weights: Path,
    target: Target,
    out: Path | None = None,
    say: Say = lambda line: None,
    *,
    force: bool = False,
) -> list[Path]:
    """Write a trained network for another program, and check what was written.

    Args:
        weights: a run folder, or a .safetensors file of deepres.
        target: "safetensors", a copy with all that belongs to it; "torchvision", a state dict for
            ``torchvision.models``; "onnx"; "caffe", as the authors' released models; or
            "huggingface", a folder with a model card.
        out: the file or folder; by default beside the weights, called after the network.
        say: is told what the weights expect and how they were checked.
        force: replace files that are there under names that ``out`` does not give.

    Returns:
        The files that were written, the weights first.

    Raises:
        UserError: the weights cannot be read, the other program has no such network, what was
            written does not say what the network says, or a file would be replaced. Nothing takes
            its name then.
    """
    if target not in TARGETS:
        raise unknown_name("target", target, TARGETS)
    source = weights_file(weights)
    classifier = load_classifier(weights)
    name = classifier.network.architecture["name"]
    if target == "huggingface":
        return export_folder(source, out or source.with_name(name), say, force=force)
    named = out is not None
    out = out or source.with_name(f"{name}{SUFFIXES[target]}")
    if out.suffix != SUFFIXES[target]:
        raise UserError(f"a file for {target} ends in {SUFFIXES[target]}, got {out}")
    if out.resolve() == source.resolve():
        raise UserError(f"{out} would replace the weights themselves; choose another by --out")
    beside = [out.with_suffix(ending) for ending in BESIDE.get(target, ())]
    if not force:
        check_free(beside if named else [out, *beside])
    writers = {
        "safetensors": _to_safetensors,
        "torchvision": _to_torchvision,
        "onnx": _to_onnx,
        "caffe": _to_caffe,
    }
    return writers[target](classifier, source, out, say)


def _to_safetensors(classifier: Classifier, source: Path, out: Path, say: Say) -> list[Path]:
    def check(file: Path) -> None:
        _check_tensors(load_classifier(file).state_dict(), classifier.state_dict(), out)

    _write_checked(out, source.read_bytes(), check)
    say("checked: read back, all tensors are the same")
    return [out]


def _to_torchvision(classifier: Classifier, source: Path, out: Path, say: Say) -> list[Path]:
    name = classifier.network.architecture["name"]
    _check_options(classifier, "torchvision", torch_options(name, "torchvision"), source)
    state = {key: tensor.contiguous() for key, tensor in classifier.network.state_dict().items()}
    content = io.BytesIO()
    torch.save(state, content)

    def check(file: Path) -> None:
        _check_tensors(read_state_dict(file), state, out)

    preparation = out.with_suffix(".json")
    _write_checked(out, content.getvalue(), check)
    write_json(preparation, describe(classifier))
    say("checked: read back, all tensors are the same")
    say(f"the input that the weights expect is described in {preparation}")
    return [out, preparation]


def _to_onnx(classifier: Classifier, source: Path, out: Path, say: Say) -> list[Path]:
    check_packages()
    sizes = check_sizes(classifier)

    @torch.inference_mode()
    def check(file: Path) -> None:
        for n, height, width in sizes:
            images = torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(n))
            _check_outputs(run_onnx(file, images), classifier.network(images), out)

    _write_checked(out, encode_onnx(classifier), check)
    tried = " and ".join(f"{n}×3×{height}×{width}" for n, height, width in sizes)
    say(f"checked: onnxruntime gives the same logits for inputs of {tried}")
    say("the input is prepared images; how to prepare them stands in the metadata, under deepres")
    return [out]


def _to_caffe(classifier: Classifier, source: Path, out: Path, say: Say) -> list[Path]:
    name = classifier.network.architecture["name"]
    check_released(name)
    _check_options(classifier, "Caffe", RELEASED, source)
    # Caffe's pixels go to 255 and are not divided; the first convolution takes over what is left.
    pixel_scale = 1 / (255 * classifier.std.flatten())
    layers = layers_from_state(classifier.network.state_dict(), name, pixel_scale)
    mean, deploy = out.with_suffix(".mean.binaryproto"), out.with_suffix(".prototxt")
    mean_content = encode_mean(caffe_mean(classifier))
    deploy_content = deploy_text(name, len(classifier.classes), classifier.crop).encode()

    @torch.inference_mode()
    def check(file: Path) -> None:
        side = classifier.crop
        with TemporaryDirectory() as folder:
            beside = Path(folder, mean.name)
            beside.write_bytes(mean_content)
            again = import_weights(file, name, "caffe", mean=beside, crop=side, short_side=side)
        shape = (2, 3, side, side)
        seed = torch.Generator().manual_seed(0)
        images = torch.randint(256, shape, dtype=torch.uint8, generator=seed)
        _check_outputs(again(images), classifier(images), out)

    _write_checked(out, encode_net(name, layers), check)
    _write(mean, mean_content)
    _write(deploy, deploy_content)
    say("checked: imported again, with the mean, it gives the same logits")
    say("the input is BGR, pixels from 0 to 255, less the mean")
    return [out, mean, deploy]


def _check_options(
    classifier: Classifier, other: str, expected: dict[str, Any], source: Path
) -> None:
    """Make sure that a network has the options with which another program builds it.

    Args:
        classifier: what is exported.
        other: the other program's name.
        expected: its options.
        source: where the weights are from, to name it.

    Raises:
        UserError: one differs.
    """
    architecture = classifier.network.architecture
    for option, theirs in expected.items():
        if architecture[option] != theirs:
            raise UserError(
                f"{source} is another network than {other}'s {architecture['name']}: it has "
                f"{option} {architecture[option]}, {other}'s has {theirs}"
            )


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def _write_checked(path: Path, content: bytes, check: Callable[[Path], None]) -> None:
    """Write a file, and give it its name only when ``check`` has read it from the disk."""
    with atomic_write(path) as file:
        file.write(content)
        file.flush()
        check(Path(file.name))


def _check_tensors(found: dict[str, Tensor], expected: dict[str, Tensor], file: Path) -> None:
    check_fit(expected, found, file)
    for key, tensor in expected.items():
        if not torch.equal(found[key], tensor):
            raise UserError(f"{file} was not written: {key} did not come back as it was")


def _check_outputs(found: Tensor, expected: Tensor, file: Path) -> None:
    error, size = (found - expected).norm().item(), expected.norm().item()
    if not error <= TOLERANCE * size:  # NaN, too, is refused
        raise UserError(
            f"{file} was not written: it does not give the network's logits "
            f"(they are off by {error:.1e}, of {size:.1e})"
        )
