"""Weight files: safetensors, with the architecture and the input's mean inside."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from deepres.checkpoint import digest_of
from deepres.errors import UserError
from deepres.files import atomic_write, check_readable
from deepres.models.classifier import Classifier
from deepres.models.create import build_empty
from deepres.models.fuse import fuse_for_inference
from deepres.models.weight_checks import (
    INPUT_MEAN,
    INPUT_STD,
    RESTORE,
    building_from,
    check_dtypes,
    check_fit,
    check_notes,
    check_numbers,
    take_preparation,
)
from deepres.models.weight_kinds import KIND, WEIGHT_KINDS, WeightKind, weight_kind
from deepres.run_weights import WEIGHTS, weights_file
from deepres.torch_errors import memory_was_full

METADATA, DIGEST = "deepres", "sha256"
"""In a file's header: what is noted of the tensors, and the digest of both."""
BRING_IN = "if another program wrote it: deepres import NETWORK FILE --from PROGRAM"


def save_weights(path: Path, classifier: Classifier, meta: dict[str, Any]) -> None:
    """Write a classifier's tensors and, in the file's metadata, what is needed to use them.

    Args:
        path: a .safetensors file, written atomically.
        classifier: the trained network.
        meta: what else to note about them, anything that JSON can hold.
    """
    own = {INPUT_MEAN: classifier.mean, INPUT_STD: classifier.std}
    described = {
        "architecture": classifier.network.architecture,
        "classes": classifier.classes,
        "crop": classifier.crop,
        "short_side": classifier.short_side,
    }
    save_network(path, "classifier", {**classifier.network.state_dict(), **own}, described, meta)


def load_classifier(
    path: str | Path,
    device: str | torch.device = "cpu",
    *,
    for_inference: bool = False,
) -> Classifier:
    """Load the classifier of a run's folder or a .safetensors file, as ``deepres.load_model`` does.

    Raises:
        UserError: there are no weights, they are not deepres's, or they do not fit the network.
    """
    classifier, _ = load_with_notes(path, device)
    if for_inference:
        fuse_for_inference(classifier.network, torch.device(device))
    return classifier


def load_with_notes(
    path: str | Path, device: str | torch.device = "cpu"
) -> tuple[Classifier, dict[str, Any]]:
    """Load a trained classifier as ``load_classifier`` does; return also what was noted with it.

    Raises:
        UserError: as by ``load_classifier``.
    """
    opened = open_weights(path, "classifier")
    file, meta = opened.file, opened.notes
    mean, std = take_preparation(opened.tensors, file)
    with building_from(file):
        network = build_empty(**meta["architecture"])
    if (count := network.architecture["num_classes"]) != len(meta["classes"]):
        raise UserError(f"{file} names {len(meta['classes'])} classes for {count} of its network")
    if meta["crop"] > meta["short_side"]:
        raise UserError(
            f"{file} cuts {meta['crop']} pixels out of images of {meta['short_side']}; {RESTORE}"
        )
    opened.fill(network)
    classifier = Classifier(
        network,
        mean,
        tuple(meta["classes"]),
        std=std,
        crop=meta["crop"],
        short_side=meta["short_side"],
    )
    classifier.eval().to(device).to(memory_format=torch.channels_last)
    return classifier, meta


class OpenedWeights(NamedTuple):
    """A file of a network's weights, read and checked."""

    file: Path
    kind: WeightKind
    tensors: dict[str, Tensor]
    notes: dict[str, Any]
    """All that is noted of them."""
    network: dict[str, Any]
    """What of that the network is built from."""

    def fill(self, network: nn.Module) -> None:
        """Put the tensors in place of a network's own.

        Raises:
            UserError: they do not fit it.
        """
        check_fit(network.state_dict(), self.tensors, self.file)
        network.load_state_dict(self.tensors, assign=True)


def open_weights(path: str | Path, *kinds: WeightKind) -> OpenedWeights:
    """Read the weights of a network of one of the ``kinds``, and what it is built from.

    Args:
        path: a run's folder or a .safetensors file.
        kinds: what is expected.

    Raises:
        UserError: there are no weights, they are damaged, or they are of something else.
    """
    file = weights_file(Path(path))
    tensors, notes = read_weights(file)
    kind = weight_kind(notes)
    if kind is None:
        raise UserError(
            f"{file} was not written by deepres: it does not say its network; {BRING_IN}"
        )
    held, asked = WEIGHT_KINDS[kind], [WEIGHT_KINDS[each] for each in kinds]
    if kind not in kinds:
        makers = " or ".join(f"{each.commands} {each.training}" for each in asked)
        theirs = {each.commands for each in asked}
        hint = "" if held.commands in theirs else f", or use the commands of {held.commands}"
        raise UserError(
            f"{file} holds {held.words}, and {' or '.join(each.words for each in asked)} is asked "
            f"for: give a run of {makers}{hint}"
        )
    network = notes[held.under] if held.under else notes
    check_notes(network, held.notes, file)
    return OpenedWeights(file, kind, tensors, notes, network)


def save_network(
    path: Path,
    kind: WeightKind,
    tensors: dict[str, Tensor],
    described: dict[str, Any],
    meta: dict[str, Any],
) -> None:
    """Write a network's tensors so that ``open_weights`` can read them.

    Args:
        path: a .safetensors file, written atomically.
        kind: what it is.
        tensors: all of it.
        described: what it is built from.
        meta: what else to note, anything that JSON can hold.
    """
    under = WEIGHT_KINDS[kind].under
    noted = {under: described} if under else described
    write_weights(path, tensors, {**meta, **noted, KIND: kind})


def read_weights(file: Path, *, as_kept: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a .safetensors file, and what deepres noted about them; {} if nothing.

    All numbers are float32, but for counters.

    Args:
        file: to read.
        as_kept: leave all numbers in the precision that the file has them in.

    Raises:
        UserError: the file cannot be read, is not as it was written, or holds numbers that no
            network has.
    """
    if not file.is_file():
        raise UserError(f"{file} is no regular file; give a run's folder or its {WEIGHTS}")
    check_readable(file)
    try:
        with safe_open(file, framework="pt") as archive:
            header = archive.metadata() or {}
            meta = json.loads(header.get(METADATA, "{}"))
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except Exception as error:  # a damaged file can fail anywhere in its reader
        if memory_was_full(error, file.stat().st_size):
            raise
        raise UserError(
            f"{file} is damaged or no safetensors file; give a run's folder or its {WEIGHTS}, or, "
            f"{BRING_IN}"
        ) from error
    check_notes(meta, {}, file)
    check_dtypes(tensors, file)
    # Files of others have no digest, nor have our earlier ones.
    if header.get(DIGEST, digest := weights_digest(tensors, header.get(METADATA, ""))) != digest:
        raise UserError(f"{file} is damaged: its content does not match its checksum; {RESTORE}")
    if not as_kept:
        for name in [name for name, tensor in tensors.items() if tensor.is_floating_point()]:
            tensors[name] = tensors[name].float()
    check_numbers(tensors, file)
    return tensors, meta


def weights_digest(tensors: dict[str, Tensor], notes: str) -> str:
    """Return the SHA-256 of a file's tensors, in whatever order, and of the notes on them."""
    return digest_of({"tensors": dict(sorted(tensors.items())), "notes": notes})


def write_weights(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write tensors, notes about them that JSON can hold, and a digest of both, atomically."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    notes = json.dumps(meta)
    header = {METADATA: notes, DIGEST: weights_digest(tensors, notes)}
    with atomic_write(path) as file:
        file.write(save(tensors, metadata=header))
