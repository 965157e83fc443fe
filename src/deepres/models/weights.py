"""Weight files: safetensors, with the architecture and the input's mean inside."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from deepres.checkpoint import digest_of
from deepres.errors import UserError
from deepres.files import atomic_write
from deepres.models.classifier import Classifier
from deepres.models.create import create_model
from deepres.models.fuse import fuse_for_inference
from deepres.recipes.schema import TRAINED
from deepres.run_folder import RunFolder

INPUT_MEAN, INPUT_STD = "input_mean", "input_std"  # stored beside the network's own tensors
METADATA, DIGEST = "deepres", "sha256"
"""In a file's header: what is noted of the tensors, and the digest of both."""
DETECTOR, LOCALIZER = "detector", "localizer"  # notes that such a file has, a classifier's has not
WEIGHTS = "model.safetensors"
RESTORE = "restore it from a copy (a run's is written again by --resume)"


def save_weights(path: Path, classifier: Classifier, meta: dict[str, Any]) -> None:
    """Write a classifier's tensors and, in the file's metadata, what is needed to use them.

    Args:
        path: a .safetensors file, written atomically.
        classifier: the trained network.
        meta: what else to note about them, anything that JSON can hold.
    """
    own = {INPUT_MEAN: classifier.mean, INPUT_STD: classifier.std}
    tensors = {**classifier.network.state_dict(), **own}
    described = {
        "architecture": classifier.network.architecture,
        "classes": classifier.classes,
        "crop": classifier.crop,
        "short_side": classifier.short_side,
        **meta,
    }
    write_weights(path, tensors, described)


def load_model(
    path: str | Path,
    device: str | torch.device = "cpu",
    *,
    for_inference: bool = False,
) -> Classifier:
    """Load a trained classifier, ready for evaluation.

    Args:
        path: a run folder, or a .safetensors file that ``deepres train`` or ``import`` wrote.
        device: where to put it.
        for_inference: make it faster as ``deepres evaluate`` does: BN folded and, on a CPU, layers
            fused. The logits are the same to rounding, but it can be trained and saved no more.

    Raises:
        UserError: there are no weights, they are not deepres's, or they do not fit the network.
    """
    file = weights_file(Path(path))
    tensors, meta = read_weights(file)
    for kind in (DETECTOR, LOCALIZER):
        if kind in meta:
            raise UserError(f"{file} holds a {kind}, and a classifier is asked for")
    if not meta.keys() >= {"architecture", "classes", "crop", "short_side"}:
        raise UserError(f"{file} was not written by deepres: it does not say its network")
    halves = {name for name, tensor in tensors.items() if tensor.dtype == torch.float16}
    tensors |= {name: tensors[name].float() for name in halves}
    mean, std = take_preparation(tensors, file)
    try:
        with torch.device("meta"):
            network = create_model(**meta["architecture"])
    except TypeError as error:
        raise UserError(f"{file} was written by another version of deepres: {error}") from error
    check_fit(network.state_dict(), tensors, file)
    network.load_state_dict(tensors, assign=True)
    classifier = Classifier(
        network,
        mean,
        tuple(meta["classes"]),
        std=std,
        crop=meta["crop"],
        short_side=meta["short_side"],
    )
    classifier.eval().to(device).to(memory_format=torch.channels_last)
    if for_inference:
        fuse_for_inference(classifier.network, torch.device(device))
    return classifier


def weights_file(path: Path) -> Path:
    """Return the weight file that ``path`` is, or that the run in the folder ``path`` has.

    Raises:
        UserError: there is none.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give a run's folder or .safetensors file")
    if not file.exists():
        if not RunFolder(path).recipe.exists():
            raise UserError(f"{path} is no run: it has neither recipe.json nor {WEIGHTS}")
        kind = RunFolder(path).read_meta().get("recipe", {}).get("kind", "")
        command = TRAINED.get(kind, ("", "deepres"))[1]
        raise UserError(
            f"{path} has no {file.name} yet; finish it: {command} train --resume {path}"
        )
    return file


def check_fit(expected: dict[str, Tensor], found: dict[str, Tensor], file: Path) -> None:
    """Compare a network's tensors with those of a file, strictly.

    Raises:
        UserError: a tensor is missing, superfluous, or of another shape; it is named.
    """
    for name, tensor in expected.items():
        if name not in found:
            inside = (each for each in found.keys() - expected.keys() if each.endswith(f".{name}"))
            nearest = min(inside, key=len, default=None)
            hint = f", but there is {nearest}" if nearest else ""
            raise UserError(f"{file} does not fit the network: {name} is missing{hint}")
        if found[name].shape != tensor.shape:
            raise UserError(
                f"{file} does not fit the network: {name} has shape {tuple(found[name].shape)}, "
                f"expected {tuple(tensor.shape)}"
            )
    if extra := found.keys() - expected.keys():
        raise UserError(f"{file} does not fit the network: {min(extra)} is not part of it")


def read_weights(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a .safetensors file, and what deepres noted about them; {} if nothing.

    Raises:
        UserError: the file cannot be read, is not as it was written, or holds numbers that no
            network has.
    """
    try:
        with safe_open(file, framework="pt") as archive:
            header = archive.metadata() or {}
            meta = json.loads(header.get(METADATA, "{}"))
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{file} is damaged or no safetensors file; give a run's folder or its {WEIGHTS}"
        ) from error
    # Files of others have no digest, nor have our earlier ones.
    if header.get(DIGEST, digest := weights_digest(tensors, header.get(METADATA, ""))) != digest:
        raise UserError(f"{file} is damaged: its content does not match its checksum; {RESTORE}")
    check_numbers(tensors, file)
    return tensors, meta


def weights_digest(tensors: dict[str, Tensor], notes: str) -> str:
    """Return the SHA-256 of a file's tensors, in whatever order, and of the notes on them."""
    return digest_of({"tensors": dict(sorted(tensors.items())), "notes": notes})


def check_numbers(tensors: dict[str, Tensor], file: Path) -> None:
    """Make sure that a file's numbers can be a network's.

    Raises:
        UserError: one is not finite, a variance is negative, or the mean or std of the input is
            out of range; its tensor is named.
    """
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            wrong = "a value that is no finite number"
        elif name.endswith("running_var") and (tensor < 0).any():
            wrong = "a negative variance"
        elif name == INPUT_MEAN and not ((tensor >= 0) & (tensor <= 1)).all():
            wrong = "a mean of the input outside 0 to 1"
        elif name == INPUT_STD and not (tensor > 0).all():
            wrong = "a standard deviation of the input that is not above 0"
        else:
            continue
        raise UserError(f"{file} is damaged: {name} holds {wrong}; {RESTORE}")


def take_preparation(tensors: dict[str, Tensor], file: Path) -> tuple[Tensor, Tensor]:
    """Remove the input's mean and std from a file's tensors, and return them.

    Raises:
        UserError: one is missing.
    """
    for name in (INPUT_MEAN, INPUT_STD):
        if name not in tensors:
            raise UserError(f"{file} does not fit the network: {name} is missing")
    return tensors.pop(INPUT_MEAN), tensors.pop(INPUT_STD)


def write_weights(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write tensors, notes about them that JSON can hold, and a digest of both, atomically."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    notes = json.dumps(meta)
    header = {METADATA: notes, DIGEST: weights_digest(tensors, notes)}
    with atomic_write(path) as file:
        file.write(save(tensors, metadata=header))
