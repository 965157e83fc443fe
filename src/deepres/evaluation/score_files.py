"""Scores on disk: a cache, so that ensembles cost nothing, and files for other programs."""

import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepres.distributed import ALONE, World
from deepres.errors import UserError
from deepres.evaluation.scores import Scores
from deepres.files import atomic_write, leftovers
from deepres.locks import held


def cached_scores(
    path: Path,
    key: dict[str, Any],
    make: Callable[[], Scores],
    world: World = ALONE,
    still: Callable[[], bool] = lambda: True,
) -> Scores:
    """Return the scores at ``path`` if they were made under the same ``key``; else make them.

    Args:
        path: a .npz file, written if it is not there and can be.
        key: all that the scores depend on: weights, images, views.
        make: computes them, in all processes of ``world`` together.
        world: the processes, of which the leader reads and writes.
        still: tells whether ``key`` still holds once they are made; else they are not kept.
    """
    found = _read_scores(path, key) if world.leader else None
    if world.broadcast_object(found is not None):
        return found or Scores((), torch.empty(0), torch.empty(0, 0))  # others need none
    scores = make()
    if world.leader and still():
        with suppress(UserError, OSError):  # beside weights on a read-only disk there is no cache
            path.parent.mkdir(parents=True, exist_ok=True)
            with held(path.parent, os.O_RDONLY):
                for leftover in leftovers(path):  # of a killed process: who writes now waits
                    leftover.unlink()
                save_scores(path, scores, key=json.dumps(key))
    return scores


def _read_scores(path: Path, key: dict[str, Any]) -> Scores | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as saved:
            if json.loads(str(saved["key"])) == key:
                return Scores(
                    tuple(saved["names"].tolist()),
                    torch.from_numpy(saved["labels"]),
                    torch.from_numpy(saved["scores"]),
                )
    except Exception:  # absent, damaged in any way, or of another version: it is only a cache
        return None
    return None


def save_scores(path: Path, scores: Scores, **more: Any) -> None:
    """Write the scores of each image as an .npz file: names, labels, scores, and ``more``."""
    content = io.BytesIO()
    np.savez(
        content,
        names=np.array(scores.names),
        labels=scores.labels.numpy(),
        scores=scores.probabilities.numpy(),
        **more,
    )
    with atomic_write(path) as file:
        file.write(content.getbuffer())
