"""Where fetched weights are kept: as they came where torch.hub keeps its own, and as ours."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from deepres.errors import cannot_write
from deepres.locks import held
from deepres.models import Classifier, save_weights

CONVERSION = 1
"""Raised when what is made of a file changes, so that no earlier one is taken."""


def downloads_folder() -> Path:
    """Return the folder of files as they came: torch.hub's own (``TORCH_HOME``)."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def kept_as_ours(name: str, make: Callable[[], tuple[Classifier, dict[str, Any]]]) -> Path:
    """Return the .safetensors file called ``name``, made at first use.

    Processes that want it at once make it once.

    Args:
        name: says whose weights and which file they are.
        make: fetches them and returns the classifier, and what to note of its origin.

    Raises:
        UserError: it cannot be made, or the disk refused.
    """
    folder = Path(torch.hub.get_dir()) / "deepres"
    file = folder / f"{name}-{CONVERSION}.safetensors"
    if not file.exists():
        with ExitStack() as lock:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock.enter_context(held(folder / ".lock", os.O_CREAT | os.O_RDWR))
            except OSError as error:
                raise cannot_write(folder, error) from error
            if not file.exists():
                classifier, origin = make()
                save_weights(file, classifier, {"imported": origin})
    return file
