from pathlib import Path

from pictures import image_folder

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import open_image_folder
from deepres.training.trained_run import with_few_test_images


def test_few_test_images_are_of_all_classes(tmp_path: Path, sample: Cifar10) -> None:
    few = with_few_test_images(sample, 20).test.labels.bincount().tolist()
    assert few == [2] * 10
    folder = open_image_folder(image_folder(tmp_path / "data", train=1, val=6))
    classes = len(folder.classes)
    assert sorted(with_few_test_images(folder, classes).test.labels) == list(range(classes))
    assert len(with_few_test_images(folder, 10_000).test) == 6 * classes
