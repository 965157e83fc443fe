"""Classes of a network and of data, or of another network, brought together by their names."""

import dataclasses
from collections.abc import Callable, Sequence

import torch

from deepres.data.cifar10 import ImageSet
from deepres.data.folder import UNKNOWN, ImageFiles
from deepres.data.listing import odd_first, some
from deepres.errors import UserError
from deepres.models.classifier import check_labels


def places_among(
    own: Sequence[str], owner: str, theirs: Sequence[str], whose: str, say: Callable[[str], None]
) -> list[int]:
    """Return the place among a network's ``own`` classes of each of ``theirs``.

    They go by name. Where no name is in both, as with WordNet's ids and words, they go in order.

    Args:
        own: what the network tells apart.
        owner: the network, in words.
        theirs: what data show, or another network tells apart.
        whose: the data or the other network, in words.
        say: is told where they go in order.

    Raises:
        UserError: they are not the same classes.
    """
    places = {name: place for place, name in enumerate(own)}
    if tuple(theirs) == tuple(own):
        return [*range(len(own))]
    if len(places) == len(own) and sorted(theirs) == sorted(own):
        return [places[name] for name in theirs]
    if len(theirs) != len(own) or places.keys() & {*theirs}:
        odd = odd_first(own, theirs), odd_first(theirs, own)
        raise UserError(
            f"{owner} tells {len(own):,} classes apart ({some(odd[0])}), {whose} has "
            f"{len(theirs):,} ({some(odd[1])}); give data of its classes by --data"
        )
    say(
        f"classes are matched in order: the first is {theirs[0]} in {whose} and {own[0]} in {owner}"
    )
    return [*range(len(own))]


def relabelled(images: ImageSet | ImageFiles, places: Sequence[int]) -> ImageSet | ImageFiles:
    """Return the same images with ``places[label]`` for each label; unknown ones stay so.

    Raises:
        UserError: a label is of none of the classes.
    """
    if [*places] == [*range(len(places))]:
        return images
    old = torch.as_tensor(images.labels)
    check_labels(old[old != UNKNOWN], len(places))
    new = torch.where(old == UNKNOWN, old, torch.tensor(places, device=old.device)[old])
    if isinstance(images, ImageFiles):
        return dataclasses.replace(images, labels=tuple(new.tolist()))
    return dataclasses.replace(images, labels=new)
