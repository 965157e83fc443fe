import dataclasses

import torch
from runs import on_cpu

from deepres.data.batches import Batches
from deepres.data.cifar10 import Cifar10
from deepres.data.transforms import per_pixel_mean, prepare
from deepres.recipes.cifar10 import section_4_2


def test_images_keep_their_labels(sample: Cifar10) -> None:
    mean = per_pixel_mean(sample.train.images)
    recipe = dataclasses.replace(section_4_2("resnet20"), batch_size=64, pad=0, flip=False)
    images, labels = Batches(sample.train, mean, recipe, 3, on_cpu())(5)
    assert images.shape == (64, 3, 32, 32)
    prepared = prepare(sample.train.images, mean)
    for image, label in zip(images, labels, strict=True):
        (place,) = (prepared == image).flatten(1).all(1).nonzero()[0]
        assert sample.train.labels[place] == label


def test_a_standard_deviation_divides_what_is_prepared(sample: Cifar10) -> None:
    mean, std = per_pixel_mean(sample.train.images), torch.tensor([0.2, 0.3, 0.25])[:, None, None]
    given = (sample.train, mean, dataclasses.replace(section_4_2("resnet20"), batch_size=8), 3)
    images, labels = Batches(*given, on_cpu(), std)(5)
    undivided, same_labels = Batches(*given, on_cpu())(5)
    assert torch.equal(images, undivided / std)
    assert torch.equal(labels, same_labels)
