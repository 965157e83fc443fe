"""Weights on the Hugging Face hub, by owner and name. Needs huggingface_hub."""

import re
from collections.abc import Callable
from pathlib import Path

from deepres.errors import UserError
from deepres.extras import optional_package
from deepres.models.exchange.huggingface import (
    CONFIG,
    PICKLED,
    PREPROCESSOR,
    SAFETENSORS,
    import_huggingface,
)
from deepres.pretrained.store import kept_as_ours

PREFIX = "hf:"
REFERENCE = re.compile(r"hf:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def hub_weights(reference: str, say: Callable[[str], None]) -> Path:
    """Return a .safetensors file with the weights that are at ``hf:owner/name[@revision]``.

    They can be ours, transformers' or timm's. The hub's own cache keeps what was fetched, so that
    a second call needs no network.

    Raises:
        UserError: there is no such thing, the hub cannot be reached, or it is no network of ours.
    """
    match = REFERENCE.fullmatch(reference)
    if not match:
        raise UserError(f"{reference} names nothing on the hub; write hf:owner/name[@revision]")
    folder = _snapshot(reference, match["repository"], match["revision"])
    name = f"{match['repository'].replace('/', '--')}-{folder.name[:12]}"
    origin = {"source": reference, "revision": folder.name}
    return kept_as_ours(name, lambda: (import_huggingface(folder, say), origin))


def _snapshot(reference: str, repository: str, revision: str | None) -> Path:
    """Fetch what is needed of a repository, and return the folder where it is."""
    hub = optional_package("huggingface_hub", "huggingface", "the Hugging Face hub needs")

    def fetch(*files: str) -> Path:
        wanted = list(files)
        return Path(hub.snapshot_download(repository, revision=revision, allow_patterns=wanted))

    try:
        folder = fetch(CONFIG, PREPROCESSOR, SAFETENSORS)
        if not (folder / SAFETENSORS).exists():
            folder = fetch(CONFIG, PREPROCESSOR, PICKLED)
    except Exception as error:  # the library's, its HTTP client's, or the system's
        reason = " ".join(str(error).split("\n\n")[0].split())
        raise UserError(f"{reference} cannot be fetched: {reason}") from error
    return folder
