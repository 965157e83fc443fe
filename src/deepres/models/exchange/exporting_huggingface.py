"""A folder as the Hugging Face hub takes it: weights, config.json, and a model card."""

from collections.abc import Callable
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any

import torch

from deepres.errors import UserError, cannot_write
from deepres.files import atomic_write, check_free, write_json
from deepres.models.classifier import Classifier
from deepres.models.exchange.huggingface import CONFIG, LIBRARY, SAFETENSORS, import_huggingface
from deepres.models.exchange.model_card import model_card
from deepres.models.exchange.preparation import describe
from deepres.models.weights import load_classifier, read_weights
from deepres.provenance import installed_version
from deepres.run_weights import weights_file

CARD = "README.md"


def export_folder(
    weights: Path, folder: Path, say: Callable[[str], None], *, force: bool = False
) -> list[Path]:
    """Write a trained network as a folder for the hub, and read it back.

    Args:
        weights: a run folder, or a .safetensors file of deepres.
        folder: made if need be.
        say: is told how the files were checked.
        force: replace files that are there.

    Returns:
        The files that were written, the weights first.

    Raises:
        UserError: the weights cannot be read, a file would be replaced, or the folder does not say
            what the network says. Nothing takes its name then.
    """
    source = weights_file(weights)
    classifier = load_classifier(source)
    files = [folder / name for name in (SAFETENSORS, CONFIG, CARD)]
    if source.resolve() == files[0].resolve():
        raise UserError(f"{folder} holds the weights themselves; choose another folder")
    if not force:
        check_free(files)
    content = source.read_bytes()
    _, notes = read_weights(source)
    card = model_card(classifier, source, notes).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".") as temporary:
            _write_all(Path(temporary), content, _config(classifier), card)
            _check(Path(temporary), classifier, folder)
            for file in files:
                (Path(temporary) / file.name).replace(file)
    except OSError as error:
        raise cannot_write(folder, error) from error
    say("checked: read back, it gives the same logits")
    say(f"to publish it: hf upload OWNER/NAME {quote(str(folder))}")
    return files


def _write_all(folder: Path, content: bytes, config: dict[str, Any], card: bytes) -> None:
    for name, each in ((SAFETENSORS, content), (CARD, card)):
        with atomic_write(folder / name) as file:
            file.write(each)
    write_json(folder / CONFIG, config)


def _config(classifier: Classifier) -> dict[str, Any]:
    described = describe(classifier)
    described["std"] = classifier.std.flatten().tolist()
    described["mean"] = classifier.mean.mean((1, 2)).tolist()
    if classifier.mean.shape[1:] != (1, 1):  # too long for this file
        described["mean_image"] = f"input_mean in {SAFETENSORS}; mean is its average"
    return {"library_name": LIBRARY, "deepres_version": installed_version(), **described}


@torch.inference_mode()
def _check(written: Path, classifier: Classifier, folder: Path) -> None:
    side = classifier.crop
    seed = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 3, side, side), dtype=torch.uint8, generator=seed)
    if not torch.equal(import_huggingface(written)(images), classifier(images)):
        raise UserError(f"{folder} was not written: it does not give the network's logits")
