import dataclasses

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
