"""The weights that a classifier is fine-tuned from: what is kept of them, and what stays fixed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.data.imagenet import WORDNET_ID
from deepres.data.imagenet_names import imagenet_names
from deepres.errors import UserError
from deepres.models import Classifier, load_classifier
from deepres.models.create import build_empty
from deepres.models.exchange.released_state import has_merged_statistics
from deepres.models.stages import StagedNetwork
from deepres.pretrained import check_network, weights_for
from deepres.recipes import (
    CifarRecipe,
    ClassificationRecipe,
    ImageNetRecipe,
    fine_tuned,
    get_recipe,
)
from deepres.training.batch_norm_statistics import learning_batch_norm
from deepres.training.begun_from import origin

HEAD = "fc"
"""The last stage, and its layer that has a number for each class."""


class GivenWeights(NamedTuple):
    """What a run of fine-tuning begins from."""

    tensors: dict[str, Tensor]
    """The network's, but those of a layer that is made anew."""
    mean: Tensor
    std: Tensor
    """What is subtracted from the input and what divides it, (3, 1, 1); the mean may also be an
    image."""
    noted: dict[str, Any]
    """What recipe.json says of them: the file, its digest, and the layers that are ``new``."""
    by_ids: bool
    """Whether ImageNet's layer is kept for classes that have WordNet ids for names."""


def fine_tuning_recipe(
    model: str, weights: str | Path, data: Cifar10 | ImageFolder
) -> CifarRecipe | ImageNetRecipe:
    """Return the recipe by which ``train`` goes on from given weights, on one's own classes.

    It is no recipe of the paper: shorter, at a lower rate. The network's options and the size of
    the crops are those of the weights.

    Args:
        model: the network that they are of, e.g. resnet50.
        weights: a run's folder or a file, or by name, as ``create_model`` takes them.
        data: what it will learn from: a folder of images or, for its networks, CIFAR-10.

    Raises:
        UserError: no recipe trains such a network, there are no such weights, or they are of
            another one.
    """
    get_recipe(model)  # has it any? Asked before a long download
    file = weights_for(model, weights)
    return recipe_for(model, file, files=isinstance(data, ImageFolder))


def recipe_for(model: str, weights: Path, *, files: bool) -> CifarRecipe | ImageNetRecipe:
    """Return the recipe that fine-tunes ``weights`` on a folder of images, or on CIFAR-10."""
    given = _load(weights, model)
    made, by_default = given.network.architecture, build_empty(model).architecture
    options = {
        name: value
        for name, value in made.items()
        if name != "num_classes" and value != by_default[name]
    }
    return fine_tuned(model, files=files, crop=given.crop, options=options)


def given_weights(
    weights: Path, recipe: ClassificationRecipe, classes: Sequence[str]
) -> GivenWeights:
    """Read the weights that a run of ``recipe`` begins from.

    The last layer is kept if it is of the same ``classes``.

    Raises:
        UserError: they do not fit the recipe's network, or cannot be trained on.
    """
    given = _load(weights, recipe.model)
    network = given.network
    _check_options(network, recipe, weights)
    frozen = frozen_modules(network, recipe.freeze)
    _check_statistics(network, frozen, weights)
    new = [] if same_classes(given.classes, classes) else [HEAD]
    kept = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.startswith(tuple(f"{layer}." for layer in new))
    }
    by_ids = not new and tuple(given.classes) != tuple(classes)
    return GivenWeights(kept, given.mean, given.std, {**origin(weights), "new": new}, by_ids)


def in_words(given: GivenWeights, recipe: ClassificationRecipe, seed: int) -> str:
    """Say what is fine-tuned."""
    noted = given.noted
    new = f", but for {', '.join(noted['new'])}, drawn by seed {seed}" if noted["new"] else ""
    if given.by_ids:
        new = f", with {HEAD}: 1,000 names that are WordNet ids are taken for ImageNet's"
    frozen = f"; frozen up to {recipe.freeze}" if recipe.freeze else ""
    return (
        f"fine-tuning, which is no recipe of the paper: begun from {noted['file']} (sha256 "
        f"{noted['sha256'][:8]}…){new}{frozen}"
    )


def frozen_modules(network: StagedNetwork, last: str | None) -> list[nn.Module]:
    """Return what a network runs up to the stage called ``last``, and with it; None: nothing.

    Raises:
        UserError: it has no such stage, or nothing would be left to learn.
    """
    if last is None:
        return []
    stages = [stage for stage in network.stages if stage != HEAD]
    if last not in stages:
        raise UserError(f"freeze must be one of {', '.join(stages)}, or none, got {last}")
    upto = stages[: stages.index(last) + 1]
    return [network.get_submodule(name) for stage in upto for name in network.stages[stage]]


def _load(weights: Path, model: str) -> Classifier:
    classifier = load_classifier(weights)
    check_network(classifier, model, weights)
    return classifier


def _check_options(network: StagedNetwork, recipe: ClassificationRecipe, weights: Path) -> None:
    """Make sure that the recipe makes the network that the weights are of."""
    made = build_empty(recipe.model, **recipe.model_options()).architecture
    for option, value in network.architecture.items():
        if option != "num_classes" and made[option] != value:
            raise UserError(
                f"{weights} has {option}={value}, but the recipe's network has {made[option]}; "
                "take the recipe that deepres.fine_tuning_recipe makes for these weights"
            )


def _check_statistics(network: StagedNetwork, frozen: Sequence[nn.Module], weights: Path) -> None:
    """Make sure that BN can be trained on where it is not frozen.

    Where its statistics are merged into scale and shift, as in Detectron's files, the function is
    the same only as long as no batch has statistics of its own.
    """
    if learning_batch_norm(network, frozen) and has_merged_statistics(network.state_dict()):
        *_, last = [stage for stage in network.stages if stage != HEAD]
        raise UserError(
            f"{weights} has BN's statistics merged into its scale and shift: training on would "
            f"begin from another function. Keep all stages as they are, by --freeze {last}, or "
            "take weights that have the statistics"
        )


def same_classes(given: Sequence[str], own: Sequence[str]) -> bool:
    """Tell whether classes are the same; ImageNet's go by words or by WordNet's ids.

    Ids are not compared one by one: any 1,000 of them are taken for ImageNet's.
    """
    if tuple(given) == tuple(own):
        return True
    ids = all(WORDNET_ID.fullmatch(name) for name in own)
    return tuple(given) == imagenet_names() and len(own) == len(given) and ids
