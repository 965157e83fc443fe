"""Weight files: safetensors, with the architecture and the input's mean inside."""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from deepres.errors import UserError
from deepres.files import atomic_write
from deepres.models.classifier import Classifier
from deepres.models.create import create_model
from deepres.models.fuse import fuse_for_inference
from deepres.models.kept import kept_run
from deepres.recipes.schema import TRAINED
from deepres.run_folder import RunFolder

INPUT_MEAN, INPUT_STD = "input_mean", "input_std"  # stored beside the network's own tensors
METADATA = "deepres"
DETECTOR, LOCALIZER = "detector", "localizer"  # notes that such a file has, a classifier's has not
WEIGHTS = "model.safetensors"


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
    weights: Literal["deepres"] | None = None,
    for_inference: bool = False,
) -> Classifier:
    """Load a trained classifier, ready for evaluation.

    Args:
        path: a run folder, or a .safetensors file that ``deepres train`` or ``import`` wrote; with
            ``weights="deepres"`` the name of a network or run whose weights come with deepres.
        device: where to put it.
        weights: whose weights ``path`` names.
        for_inference: make it faster as ``deepres evaluate`` does: BN folded and, on a CPU, layers
            fused. The logits are the same to rounding, but it can be trained and saved no more.

    Raises:
        UserError: there are no weights, they are not deepres's, or they do not fit the network.
    """
    file = weights_file(kept_run(str(path)) if weights == "deepres" else Path(path))
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
            raise UserError(f"{file} does not fit the network: {name} is missing")
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
        UserError: the file cannot be read.
    """
    try:
        with safe_open(file, framework="pt") as archive:
            meta = json.loads((archive.metadata() or {}).get(METADATA, "{}"))
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{file} is damaged or no safetensors file; give a run's folder or its {WEIGHTS}"
        ) from error
    return tensors, meta


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
    """Write tensors, and notes about them that JSON can hold, atomically."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as file:
        file.write(save(tensors, metadata={METADATA: json.dumps(meta)}))
