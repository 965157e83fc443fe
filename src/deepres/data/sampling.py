"""Which images, and which random crops of them, make up the batch of step t.

All of it is a function of (seed, t): the training set is shuffled anew each epoch, the epochs
follow each other without a gap, and step t takes the t-th ``batch_size`` of that endless row.
Draws are made on the CPU, for a whole epoch at once, so that every device sees the same.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from deepres.runtime import derive_seed


class Draws(NamedTuple):
    """For each place in a batch: the image, where its crop begins, and whether it is mirrored."""

    image: Tensor
    top: Tensor
    left: Tensor
    flip: Tensor


class Sampler:
    """Draws the batches of a run.

    Args:
        images: how many training images there are.
        batch_size: how many make up a batch.
        pad: crops begin at a row and column in [0, 2·pad].
        flip: mirror each image with probability one half.
        seed: of the run.
        device: where the draws are wanted.
    """

    def __init__(
        self, images: int, batch_size: int, pad: int, flip: bool, seed: int, device: torch.device
    ) -> None:
        self.images = images
        self.batch_size = batch_size
        self.pad = pad
        self.flip = flip
        self.seed = seed
        self.device = device
        self._epoch, self._draws = 0, self._draw_epoch(0)

    def batch(self, step: int) -> Draws:
        """Return the draws of step ``step``, each of shape (batch_size,)."""
        first, end = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        while first < end:
            epoch, place = divmod(first, self.images)
            if epoch != self._epoch:
                self._epoch, self._draws = epoch, self._draw_epoch(epoch)
            count = min(end - first, self.images - place)
            parts.append([column[place : place + count] for column in self._draws])
            first += count
        return Draws(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    def _draw_epoch(self, epoch: int) -> Draws:
        """Draw for every place in an epoch, each of shape (images,)."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", epoch))
        n, offsets = self.images, 2 * self.pad + 1
        draws = Draws(
            image=torch.randperm(n, generator=generator),
            top=torch.randint(offsets, (n,), generator=generator),
            left=torch.randint(offsets, (n,), generator=generator),
            flip=torch.randint(2, (n,), generator=generator).bool() & self.flip,
        )
        return Draws(*(column.to(self.device) for column in draws))
