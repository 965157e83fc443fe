"""Batches of squares that workers cut out of images, prepared on the device (appendix C)."""

from typing import Any, Generic, TypeVar

from torch import Tensor
from torch.utils.data import Dataset

from deepres.data.loading import StepStream
from deepres.data.transforms import prepare
from deepres.execution import Execution

B = TypeVar("B")
"""A named tuple of tensors, among them ``images``."""


class SquareBatches(Generic[B]):
    """Maps a step's number to its batch; fast for steps in order, right for any.

    Args:
        squares: maps a step's number to this process's share of its batch, as workers cut it.
        steps: how many there are.
        mean: what is subtracted from pixels in [0, 1], (3, 1, 1).
        std: what they are divided by after that.
        execution: where batches are wanted, and which processes decode and share them.
    """

    def __init__(
        self, squares: Dataset[B], steps: int, mean: Tensor, std: Tensor, execution: Execution
    ) -> None:
        self._stream = StepStream(squares, steps, execution)
        self._device = execution.device
        self._mean, self._std = mean.to(self._device), std.to(self._device)

    def __call__(self, step: int) -> B:
        """Return this process's share of the batch of ``step``, prepared, on the device.

        Raises:
            BadImage: a file cannot be decoded.
        """
        batch: Any = self._stream(step)
        here = {
            name: column.to(self._device, non_blocking=True)
            for name, column in batch._asdict().items()
        }
        here["images"] = prepare(here["images"].permute(0, 3, 1, 2), self._mean, self._std)
        prepared: B = batch._replace(**here)
        return prepared

    def close(self) -> None:
        """End the processes that decode."""
        self._stream.close()
