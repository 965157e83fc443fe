"""The augmented batches of a run, from images that stay in the training device's memory."""

from torch import Tensor

from deepres.data.cifar10 import ImageSet
from deepres.data.sampling import WindowSampler, window_draws
from deepres.data.transforms import augmented_batch, padded_windows
from deepres.execution import Execution
from deepres.recipes import CifarRecipe


class Batches:
    """Maps a step's number to its batch.

    ``take`` is the host's part of that, and ``prepare`` the device's. ``bad`` lists images that
    could not be decoded: none, as all of them are in memory.

    Args:
        train: the training images.
        mean: what is subtracted from them, (C, H, W) float32 in [0, 1].
        recipe: how they are augmented.
        seed: of the run.
        execution: where the images are kept and the batches made, and who shares each batch.
        std: what divides them after all that, (C, 1, 1); None: nothing.
    """

    def __init__(
        self,
        train: ImageSet,
        mean: Tensor,
        recipe: CifarRecipe,
        seed: int,
        execution: Execution,
        std: Tensor | None = None,
    ) -> None:
        device, size, pad = execution.device, recipe.batch_size, recipe.pad
        self.bad: list[str] = []
        self._shard = execution.world.shard(size)
        self._sampler = WindowSampler(len(train), size, pad, recipe.flip, seed, device)
        self._images = padded_windows(train.images.to(device), pad)
        self._mean = padded_windows(mean[None].to(device), pad)
        self._std = None if std is None else std.to(device)
        self._labels = train.labels.to(device)

    def take(self, step: int) -> tuple[Tensor, ...]:
        """Return what makes up this process's share of ``step``: the draws, (B, 4) int64."""
        return (self._sampler.packed(step)[self._shard],)

    def prepare(self, taken: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return the images (B, C, H, W) float32 and labels (B,) int64 of what was taken."""
        [packed] = taken
        draws = window_draws(packed)
        images = augmented_batch(self._images, self._mean, *draws)
        images = images if self._std is None else images / self._std
        return images, self._labels[draws.image]

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return this process's images (B, C, H, W) float32 and labels (B,) int64 of ``step``."""
        return self.prepare(self.take(step))

    def close(self) -> None:
        """Nothing is open."""
