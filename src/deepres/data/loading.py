"""Images decoded side by side in worker processes, in an order that is known beforehand."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from deepres.data.cifar10 import ImageSet
from deepres.data.images import BadImage
from deepres.data.views import View, one_crop
from deepres.distributed import ALONE, World
from deepres.errors import UserError


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


def number_of_workers(given: int | None) -> int:
    """Return how many processes decode images: as ``given``, or one for each core, up to 8.

    The processes that torchrun started on this machine divide the cores among them.

    Raises:
        UserError: it is negative.
    """
    if given is not None:
        if given < 0:
            raise UserError(f"the number of workers must be 0 or more, got {given}")
        return given
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(8, (cores or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def load(
    dataset: Dataset[Any], order: Sequence[int], workers: int, device: torch.device
) -> Iterator[Any]:
    """Yield ``dataset[i]`` for each i of ``order``, made by ``workers`` processes; 0: by this one.

    A script that asks for workers must have its main part under ``if __name__ == "__main__":``.
    If one of them is killed, most likely for want of memory, PyTorch raises a RuntimeError that
    says so, at whatever the program is doing at the time.
    """
    yield from DataLoader(
        dataset,
        batch_size=None,  # an item is a whole batch already
        sampler=order,
        num_workers=workers,
        multiprocessing_context=_processes() if workers else None,
        worker_init_fn=start_worker,
        generator=torch.Generator(),  # else each stream would draw from the caller's
        pin_memory=device.type == "cuda",
    )


def _processes() -> BaseContext:
    """Return what makes worker processes: forks of one that has no threads.

    A fork of this process could copy a lock that another of its threads holds, and wait for ever.
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in sys.modules if name.startswith("deepres.")])
    if threading.current_thread() is threading.main_thread():
        # SIGTERM is the run's to answer; the server, and the workers with it, inherits that.
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        forkserver.ensure_running()
        signal.signal(signal.SIGTERM, before)
    return context


class Viewed(NamedTuple):
    """Some images as the network will see them."""

    places: Tensor
    """(B,) int64: which images these are."""
    views: list[Tensor]
    """(B, V, H, W, 3) uint8 for each size of view."""
    bad: list[str]
    """A line on each image that could not be decoded; it is not among the others."""


class ViewedImages(Dataset[Viewed]):
    """Maps the number of a batch to the views of its images.

    Args:
        images: the images.
        batches: the places of each batch's images. With views of many sizes, one image a batch.
        view: how an image is looked at.
        crop: the crop's side in pixels.
        shorter_side: of the scaled image, in pixels.
    """

    def __init__(
        self, images: Images, batches: Sequence[range], view: View, crop: int, shorter_side: int
    ) -> None:
        self._images, self._batches, self._view = images, batches, view
        self._crop, self._shorter_side = crop, shorter_side

    def __getitem__(self, number: int) -> Viewed:
        batch = self._batches[number]
        if self._view is one_crop and isinstance(self._images, ImageSet):
            pixels = self._images.subset(slice(batch.start, batch.stop, batch.step)).images
            if pixels.shape[2:] == (self._crop, self._crop) and self._crop == self._shorter_side:
                whole = pixels.permute(0, 2, 3, 1)[:, None]  # much faster than one by one
                return Viewed(torch.tensor(batch), [whole], [])
        places, rows, bad = [], [], []
        for i in batch:
            try:
                image = self._images.image(i)
            except BadImage as error:
                bad.append(str(error))
                continue
            rows.append(self._view(image, self._crop, self._shorter_side))
            places.append(i)
        views = [torch.from_numpy(np.stack(sizes)) for sizes in zip(*rows, strict=True)]
        return Viewed(torch.tensor(places, dtype=torch.int64), views, bad)


class CentreCrops:
    """The 1-crop test of ``images``, in batches.

    Args:
        images: the images.
        crop: the crop's side in pixels.
        shorter_side: of the scaled image, in pixels.
        workers: how many processes decode.
        device: where batches are wanted.
        skip_bad: leave images out that cannot be decoded, instead of stopping there.
    """

    def __init__(
        self,
        images: Images,
        crop: int,
        shorter_side: int,
        *,
        workers: int,
        device: torch.device,
        skip_bad: bool,
    ) -> None:
        self._images, self._crop, self._shorter_side = images, crop, shorter_side
        self._workers, self._device, self._skip_bad = workers, device, skip_bad

    def __len__(self) -> int:
        return len(self._images)

    def batches(self, batch_size: int, world: World = ALONE) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this process's images (B, 3, crop, crop) uint8 and labels (B,); each goes to one.

        Raises:
            BadImage: a file cannot be decoded, and such are not to be skipped.
        """
        parts = in_parts(range(world.rank, len(self), world.size), batch_size)
        viewed = ViewedImages(self._images, parts, one_crop, self._crop, self._shorter_side)
        for places, views, bad in load(viewed, range(len(parts)), self._workers, self._device):
            if bad and not self._skip_bad:
                raise BadImage(bad[0])
            if views:
                images = views[0][:, 0].to(self._device, non_blocking=True)  # (B, H, W, 3)
                labels = torch.tensor([int(self._images.labels[i]) for i in places])
                yield images.permute(0, 3, 1, 2), labels.to(self._device)


def in_parts(places: range, size: int) -> list[range]:
    """Split ``places`` into ranges of ``size``; the last may be shorter."""
    return [places[first : first + size] for first in range(0, len(places), size)]


def start_worker(number: int = 0) -> None:
    """Begin a worker process: leave signals to its parent, and end when that is gone.

    Ctrl-C and torchrun reach workers too; the parent lets its step end, and needs them for that.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it was killed; nothing else would."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
