"""Global context (the appendix): each region is classified with the whole image beside it.

The whole image is pooled as one more region, runs through the per-region layers, and the result
is concatenated with each region's own.
"""

import torch
from torch import Tensor


def with_whole_image(boxes: list[Tensor], image_sizes: list[tuple[int, int]]) -> list[Tensor]:
    """Return the boxes of each image, (R, 4), with one around the whole image after them."""
    return [
        torch.cat([of_image, of_image.new_tensor([[0, 0, width, height]])])
        for of_image, (height, width) in zip(boxes, image_sizes, strict=True)
    ]


def beside_context(vectors: Tensor, counts: list[int]) -> Tensor:
    """Concatenate each region's vector with its image's.

    Args:
        vectors: (sum of counts, D): of each image its regions', then its own.
        counts: how many that is, image by image.

    Returns:
        (sum of counts less one each, 2·D).
    """
    joined = [
        torch.cat([of_image[:-1], of_image[-1:].expand(len(of_image) - 1, -1)], dim=1)
        for of_image in vectors.split(counts)
    ]
    return torch.cat(joined)


def without_context(maps: Tensor, counts: list[int]) -> Tensor:
    """Drop the last of each image's ``counts`` rows."""
    return torch.cat([of_image[:-1] for of_image in maps.split(counts)])
