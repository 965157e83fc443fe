"""At which place the true class of each image stands in a network's scores."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepres.files import atomic_write

FOLDER = "ranks"
"""In the folder of a kept run, which has no scores: these take a fortieth of their room."""


@dataclass(frozen=True)
class Ranks:
    """What one network answered to a set of images whose classes are known."""

    images: str
    """A checksum of the images' names and classes."""
    ranks: NDArray[np.uint16]
    """(N,) how many classes were scored above the true one."""
    fingerprint: str | None = None
    """Of the images themselves; None: an older version has not kept it."""

    def same_images(self, other: "Ranks") -> bool:
        """Whether both were asked the same, as far as is known."""
        prints = self.fingerprint, other.fingerprint
        return self.images == other.images and (None in prints or prints[0] == prints[1])

    def wrong(self, top: int) -> NDArray[np.bool_]:
        """Return for which images the true class is not among the ``top`` likeliest."""
        return self.ranks >= top


def ranks_of(
    names: Sequence[str],
    labels: NDArray[np.int64],
    scores: NDArray[np.float32],
    fingerprint: str | None = None,
) -> Ranks | None:
    """Return the ranks of the true classes; None: of no image is it known.

    Args:
        names: of the N images.
        labels: (N,), -1 where the class is not known.
        scores: (N, classes).
        fingerprint: of the images themselves, if it is known.
    """
    known = np.flatnonzero(labels >= 0).tolist()
    if not known:
        return None
    labels, scores = labels[known], scores[known]
    images = hashlib.sha256("\n".join(names[i] for i in known).encode())
    images.update(labels.astype("<i8").tobytes())
    of_truth = np.take_along_axis(scores, labels[:, None], axis=1)
    ranks = (scores > of_truth).sum(1).astype(np.uint16)
    return Ranks(images.hexdigest(), ranks, fingerprint)


def save_ranks(run: Path, views: str, ranks: Ranks) -> None:
    """Keep what the run's network answered, asked by ``views``, in the run's folder."""
    content = io.BytesIO()
    known = ranks.fingerprint or ""
    np.savez_compressed(content, images=ranks.images, ranks=ranks.ranks, fingerprint=known)
    name = f"{views}-{ranks.fingerprint or ranks.images[:16]}.npz"
    with atomic_write(run / FOLDER / name) as file:
        file.write(content.getbuffer())


def kept_ranks(run: Path, views: str) -> list[Ranks]:
    """Return what is kept in the run's folder; damaged files do not count."""
    found = []
    for path in sorted((run / FOLDER).glob(f"{views}-*.npz")):
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as saved:
                known = str(saved["fingerprint"]) or None if "fingerprint" in saved else None
                ranks = saved["ranks"].astype(np.uint16)
                found.append(Ranks(str(saved["images"]), ranks, known))
        except Exception:  # a damaged file can raise anything
            continue
    return found
