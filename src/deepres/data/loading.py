"""Images decoded side by side in worker processes, in an order that is known beforehand."""

import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from deepres.data.cifar10 import ImageSet
from deepres.data.images import BadImage
from deepres.data.views import MakeViews, one_crop
from deepres.data.workers import start_worker, worker_context
from deepres.distributed import ALONE, World
from deepres.errors import UserError
from deepres.execution import Execution
from deepres.visible import visible

T = TypeVar("T")


class Images(Protocol):
    """What can be tested: images with names and labels."""

    @property
    def names(self) -> Sequence[str]:
        """A name for each."""

    @property
    def labels(self) -> Sequence[int] | Tensor:
        """The class of each."""

    def __len__(self) -> int: ...

    def image(self, i: int) -> Image.Image:
        """Decode the ``i``-th to RGB.

        Raises:
            BadImage: it cannot be decoded.
        """


def load(dataset: Dataset[Any], order: Sequence[int], execution: Execution) -> Generator[Any]:
    """Yield ``dataset[i]`` for each i of ``order``, made by processes or, without any, by this one.

    The processes end with the last item or when this is closed, as by ``contextlib.closing``.

    A script that asks for workers must have its main part under ``if __name__ == "__main__":``.
    If one of them is killed, most likely for want of memory, PyTorch raises a RuntimeError that
    says so, at whatever the program is doing at the time.

    Raises:
        UserError: the item whose turn it is cannot be made.
    """
    workers = execution.decoders
    items = DataLoader(
        _ItemsOrErrors(dataset),
        batch_size=None,  # an item is a whole batch already
        sampler=order,
        num_workers=workers,
        multiprocessing_context=worker_context() if workers else None,
        worker_init_fn=start_worker,
        generator=torch.Generator(),  # else each stream would draw from the caller's
        pin_memory=execution.device.type == "cuda",
    )
    for item in items:
        if isinstance(item, UserError):
            raise item
        yield item


class _ItemsOrErrors(Dataset[Any]):
    """Gives errors for users as items; what a worker raises comes with all of its traceback."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __getitem__(self, i: int) -> Any:
        try:
            return self._dataset[i]
        except UserError as error:
            return error


class StepStream(Generic[T]):
    """Maps a step's number to the item that ``dataset`` has for it, made as by ``load``.

    It is fast for steps in order, and right for any.

    Args:
        dataset: the items.
        steps: how many there are to be; one beyond them is made alone.
        execution: where they are wanted, and by how many processes they are made.
    """

    def __init__(self, dataset: Dataset[T], steps: int, execution: Execution) -> None:
        self._dataset, self._steps, self._execution = dataset, steps, execution
        self._next_step = -1
        self._items: Generator[T] | None = None

    def __call__(self, step: int) -> T:
        """Return the item of ``step``.

        Raises:
            UserError: it cannot be made.
        """
        if self._items is None or step != self._next_step or step >= self._steps:
            self.close()
            steps = range(step, max(step + 1, self._steps))
            self._items = load(self._dataset, steps, self._execution)
        self._next_step = -1  # where it fails, the next call begins anew
        item = next(self._items)
        self._next_step = step + 1
        return item

    def close(self) -> None:
        """End the processes; another step would start new ones."""
        if self._items:
            self._items.close()
        self._items = None


class Viewed(NamedTuple):
    """Some images as the network will see them."""

    indices: Tensor
    """(B,) int64: which images these are."""
    views: list[Tensor]
    """(B, V, H, W, 3) uint8 for each size of view."""
    bad: list[str]
    """A line on each image that could not be decoded; it is not among the others."""


class ViewedImages(Dataset[Viewed]):
    """Maps the number of a batch to the views of its images.

    Args:
        images: the images.
        batches: the indices of each batch's images. With views of many sizes, one image a batch.
        view: how an image is looked at.
        crop: the crop's side in pixels.
        short_side: of the scaled image, in pixels.
    """

    def __init__(
        self, images: Images, batches: Sequence[range], view: MakeViews, crop: int, short_side: int
    ) -> None:
        self._images, self._batches, self._view = images, batches, view
        self._crop, self._short_side = crop, short_side

    def __getitem__(self, number: int) -> Viewed:
        batch = self._batches[number]
        if self._view is one_crop and isinstance(self._images, ImageSet):
            pixels = self._images.subset(slice(batch.start, batch.stop, batch.step)).images
            if pixels.shape[2:] == (self._crop, self._crop) and self._crop == self._short_side:
                whole = pixels.permute(0, 2, 3, 1)[:, None]  # much faster than one by one
                return Viewed(torch.tensor(batch), [whole], [])
        indices, rows, bad = [], [], []
        for i in batch:
            try:
                image = self._images.image(i)
            except BadImage as error:
                bad.append(str(error))
                continue
            try:
                rows.append(self._view(image, self._crop, self._short_side))
            except BadImage as error:
                bad.append(f"{self._images.names[i]}: {error}")
                continue
            indices.append(i)
        views = [torch.from_numpy(np.stack(sizes)) for sizes in zip(*rows, strict=True)]
        return Viewed(torch.tensor(indices, dtype=torch.int64), views, bad)


class CentreCrops:
    """The 1-crop test of ``images``, in batches.

    Args:
        images: the images.
        crop: the crop's side in pixels.
        short_side: of the scaled image, in pixels.
        execution: where batches are wanted, and by how many processes they are decoded.
        skip_bad: leave images out that cannot be decoded, and name them, instead of stopping there.
    """

    def __init__(
        self,
        images: Images,
        crop: int,
        short_side: int,
        execution: Execution,
        *,
        skip_bad: bool,
    ) -> None:
        self._images, self._crop, self._short_side = images, crop, short_side
        self._execution, self._skip_bad = execution, skip_bad
        self._named: set[str] = set()

    def __len__(self) -> int:
        return len(self._images)

    def batches(
        self, batch_size: int, world: World = ALONE, *, name_bad: bool = True
    ) -> Generator[tuple[Tensor, Tensor]]:
        """Yield this process's images (B, 3, crop, crop) uint8 and labels (B,); each goes to one.

        Args:
            batch_size: how many images at a time.
            world: the processes that share them.
            name_bad: say, once, which are left out.

        Raises:
            BadImage: a file cannot be decoded, and such are not to be skipped.
        """
        device = self._execution.device
        parts = in_parts(range(world.rank, len(self), world.size), batch_size)
        viewed = ViewedImages(self._images, parts, one_crop, self._crop, self._short_side)
        with closing(load(viewed, range(len(parts)), self._execution)) as stream:
            for indices, views, bad in stream:
                if bad and not self._skip_bad:
                    raise BadImage(bad[0])
                for line in bad if name_bad else ():
                    if line not in self._named:  # they are tested many times
                        self._named.add(line)
                        print(visible(f"left out: {line}"), file=sys.stderr, flush=True)
                if views:
                    images = views[0][:, 0].to(device, non_blocking=True)  # (B, H, W, 3)
                    labels = torch.tensor([int(self._images.labels[i]) for i in indices])
                    yield images.permute(0, 3, 1, 2), labels.to(device)


def in_parts(indices: range, size: int) -> list[range]:
    """Split ``indices`` into ranges of ``size``; the last may be shorter."""
    return [indices[first : first + size] for first in range(0, len(indices), size)]
