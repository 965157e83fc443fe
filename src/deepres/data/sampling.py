"""Which images, and which random crops of them, make up the batch of step t.

All of it is a function of (seed, t): the training set is shuffled anew each epoch, the epochs
follow each other without a gap, and step t takes the t-th ``batch_size`` of that endless row.
Draws are made on the CPU, for a whole epoch at once, so that every device sees the same.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from deepres.runtime import derive_seed


class WindowDraws(NamedTuple):
    """For each place in a batch: the image, where its crop begins, and whether it is mirrored."""

    image: Tensor
    top: Tensor
    left: Tensor
    flip: Tensor


def window_draws(packed: Tensor) -> WindowDraws:
    """Return draws that were packed into one tensor (B, 4), for one copy instead of four."""
    image, top, left, flip = packed.unbind(1)
    return WindowDraws(image, top, left, flip.bool())


class CropDraws(NamedTuple):
    """For each place in a batch: the image, and what §3.4 does to it at random."""

    image: Tensor
    short_side: Tensor
    """In pixels."""
    top: Tensor
    """In [0, 1): as a share of the rows where the crop can begin."""
    left: Tensor
    flip: Tensor
    colour: Tensor
    """(…, 3), standard normal, for the three principal components."""


class Sampler(ABC):
    """Draws the batches of a run.

    Args:
        images: how many training images there are.
        batch_size: how many make up a batch.
        seed: of the run.
        device: where the draws are wanted.
    """

    def __init__(self, images: int, batch_size: int, seed: int, device: torch.device) -> None:
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self._epoch, self._draws = 0, self._draw_epoch(0)

    def _rows(self, step: int) -> list[Tensor]:
        """Return the draws of step ``step``, each with ``batch_size`` rows."""
        first, end = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        while first < end:
            epoch, place = divmod(first, self.images)
            if epoch != self._epoch:
                self._epoch, self._draws = epoch, self._draw_epoch(epoch)
            count = min(end - first, self.images - place)
            parts.append([column[place : place + count] for column in self._draws])
            first += count
        return [torch.cat(columns) for columns in zip(*parts, strict=True)]

    def _draw_epoch(self, epoch: int) -> list[Tensor]:
        draws = self._draw(Generator().manual_seed(derive_seed(self.seed, "epoch", epoch)))
        return [column.to(self.device) for column in draws]

    @abstractmethod
    def _draw(self, generator: Generator) -> tuple[Tensor, ...]:
        """Draw for every place in an epoch, each with ``images`` rows."""


class WindowSampler(Sampler):
    """For §4.2: crops of a padded image, which begin at a row and column in [0, 2·pad]."""

    def __init__(
        self, images: int, batch_size: int, pad: int, flip: bool, seed: int, device: torch.device
    ) -> None:
        self.pad, self.flip = pad, flip
        super().__init__(images, batch_size, seed, device)

    def batch(self, step: int) -> WindowDraws:
        """Return the draws of step ``step``."""
        return window_draws(self.packed(step))

    def packed(self, step: int) -> Tensor:
        """Return the draws of step ``step`` as one tensor (batch_size, 4) int64."""
        [rows] = self._rows(step)
        return rows

    def _draw(self, generator: Generator) -> tuple[Tensor]:
        n, offsets = self.images, 2 * self.pad + 1
        draws = WindowDraws(
            image=torch.randperm(n, generator=generator),
            top=torch.randint(offsets, (n,), generator=generator),
            left=torch.randint(offsets, (n,), generator=generator),
            flip=torch.randint(2, (n,), generator=generator).bool() & self.flip,
        )
        return (torch.stack([column.long() for column in draws], dim=1),)


class CropSampler(Sampler):
    """For §3.4: crops of an image whose shorter side is drawn from a range, ends included."""

    def __init__(
        self, images: int, batch_size: int, short_side: tuple[int, int], flip: bool, seed: int
    ) -> None:
        self.short_side, self.flip = short_side, flip
        super().__init__(images, batch_size, seed, torch.device("cpu"))

    def batch(self, step: int) -> CropDraws:
        """Return the draws of step ``step``."""
        return CropDraws(*self._rows(step))

    def _draw(self, generator: Generator) -> CropDraws:
        n, (low, high) = self.images, self.short_side
        return CropDraws(
            image=torch.randperm(n, generator=generator),
            short_side=torch.randint(low, high + 1, (n,), generator=generator),
            top=torch.rand(n, generator=generator),
            left=torch.rand(n, generator=generator),
            flip=torch.randint(2, (n,), generator=generator).bool() & self.flip,
            colour=torch.randn(n, 3, generator=generator),
        )
