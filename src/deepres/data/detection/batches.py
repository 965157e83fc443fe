"""The batches of a detection run: (seed, step) decides which images, and which mirrored."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from deepres.data.detection.loading import image_tensor, target
from deepres.data.detection.records import AnnotatedImage, DetectionSet, Objects
from deepres.data.loading import StepStream
from deepres.data.sampling import Sampler
from deepres.errors import UserError
from deepres.execution import Execution

Target = dict[str, Tensor]


def learnable(data: DetectionSet, masks: bool) -> list[AnnotatedImage]:
    """Return the images of ``data`` that have objects to learn.

    Raises:
        UserError: there are none, or masks are to be learnt and not all outlines are known.
    """
    images = [image for image in data.images if not image.objects.ignored.all()]
    if not images:
        raise UserError(f"{data.name} in {data.location} has no objects to learn from")
    if masks and (bare := data.without_outlines()):
        raise UserError(
            f"{data.name}: {len(bare):,} of {len(data):,} images have objects without outlines, so "
            f"no masks can be learnt; the first: {bare[0].path}. Give each object its "
            "segmentation, or leave out --set masks=true"
        )
    return images


class ImageDraws(NamedTuple):
    """For each place in a batch: the image, and whether it is mirrored."""

    image: Tensor
    flip: Tensor


class ImageSampler(Sampler):
    """Draws whole images, each once an epoch."""

    def __init__(self, images: int, batch_size: int, flip: bool, seed: int) -> None:
        self.flip = flip
        super().__init__(images, batch_size, seed, torch.device("cpu"))

    def batch(self, step: int) -> ImageDraws:
        """Return the draws of step ``step``."""
        return ImageDraws(*self._rows(step))

    def _draw(self, generator: Generator) -> ImageDraws:
        return ImageDraws(
            image=torch.randperm(self.images, generator=generator),
            flip=torch.randint(2, (self.images,), generator=generator).bool() & self.flip,
        )


class Pictures:
    """The images of a data set without their objects, to be decoded in worker processes.

    There each of the objects' tensors would cost a file descriptor.
    """

    def __init__(self, images: Sequence[AnnotatedImage]) -> None:
        none = Objects(torch.empty(0, 4), torch.empty(0, dtype=torch.int64), torch.empty(0).bool())
        self._images = [dataclasses.replace(image, objects=none) for image in images]

    def decode(self, indices: Sequence[int], flips: Sequence[bool]) -> list[Tensor]:
        """Decode the images at ``indices``, each mirrored or not; (3, H, W) float32 in [0, 1].

        Raises:
            UserError: one cannot be decoded, or is not as its annotation says.
        """
        images = [image_tensor(self._images[i]) for i in indices]
        pairs = zip(images, flips, strict=True)
        return [image.flip(-1) if flip else image for image, flip in pairs]


class PictureStream(Dataset[list[Tensor]]):
    """Maps a step's number to this process's share of its images."""

    def __init__(self, pictures: Pictures, sampler: ImageSampler, shard: slice) -> None:
        self._pictures, self._sampler, self._shard = pictures, sampler, shard

    def __getitem__(self, step: int) -> list[Tensor]:
        indices, flips = (column[self._shard].tolist() for column in self._sampler.batch(step))
        return self._pictures.decode(indices, flips)


class SinglePictures(Dataset[list[Tensor]]):
    """Maps a place in a data set to its image alone."""

    def __init__(self, images: Sequence[AnnotatedImage]) -> None:
        self._pictures = Pictures(images)

    def __getitem__(self, place: int) -> list[Tensor]:
        return self._pictures.decode([place], [False])


class DetectionBatches:
    """Maps a step's number to its batch; fast for steps in order, right for any.

    Images without an object to learn are left out.

    Args:
        data: the training images.
        batch_size: images a step, over all processes.
        flip: whether to mirror each image with probability one half.
        masks: whether outlines are wanted too.
        steps: how many steps there are.
        seed: of the draws.
        execution: where batches are wanted, and which processes decode and share them.

    Raises:
        UserError: as in ``learnable``.
    """

    def __init__(
        self,
        data: DetectionSet,
        *,
        batch_size: int,
        flip: bool,
        masks: bool,
        steps: int,
        seed: int,
        execution: Execution,
    ) -> None:
        self._images = learnable(data, masks)
        self._sampler = ImageSampler(len(self._images), batch_size, flip, seed)
        self._shard = execution.world.shard(batch_size)
        pictures = PictureStream(Pictures(self._images), self._sampler, self._shard)
        self._stream = StepStream(pictures, steps, execution)
        self._masks, self._device = masks, execution.device

    def __call__(self, step: int) -> tuple[list[Tensor], list[Target]]:
        """Return this process's images, each (3, H, W) float32 in [0, 1], and their targets.

        Raises:
            UserError: an image cannot be decoded, or is not as its annotation says.
        """
        decoded = self._stream(step)
        draws = self._sampler.batch(step)
        indices, flips = (column[self._shard].tolist() for column in draws)
        targets = [self._target(i, flip) for i, flip in zip(indices, flips, strict=True)]
        images = [image.to(self._device, non_blocking=True) for image in decoded]
        on_device = [{key: t.to(self._device) for key, t in each.items()} for each in targets]
        return images, on_device

    def close(self) -> None:
        """End the processes that decode."""
        self._stream.close()

    def _target(self, place: int, flip: bool) -> Target:
        image = self._images[place]
        wanted = target(image, self._masks)
        return mirrored(wanted, image.width) if flip else wanted


def mirrored(target: Target, width: int) -> Target:
    """Return the target of an image's mirror image, ``width`` pixels wide."""
    x1, y1, x2, y2 = target["boxes"].unbind(1)
    flipped = {**target, "boxes": torch.stack([width - x2, y1, width - x1, y2], 1)}
    if "masks" in target:
        flipped["masks"] = target["masks"].flip(-1)
    return flipped
