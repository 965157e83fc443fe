import math

import pytest
import torch
import torch.nn.functional as F

from deepres.data.cifar10 import ImageSet
from deepres.evaluation import evaluate


def first_pixel_as_class(images: torch.Tensor) -> torch.Tensor:
    """Be certain of the class that the first pixel names."""
    return 20.0 * F.one_hot(images[:, 0, 0, 0].long(), 3).float()


def test_errors_and_confusion_by_hand() -> None:
    said, labels = [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 0]
    images = torch.tensor(said, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    progress: list[int] = []
    data = ImageSet(images, torch.tensor(labels))
    found = evaluate(first_pixel_as_class, data, batch_size=4, on_batch=progress.append)
    assert found.confusion.tolist() == [[1, 0, 2], [1, 1, 0], [0, 0, 1]]
    assert (found.images, found.errors) == (6, 3)
    assert found.error_pct == 50.0
    assert found.class_error_pct == pytest.approx([200 / 3, 50, 0], rel=1e-6)
    assert found.loss == pytest.approx(10.0, rel=1e-6)  # 20 nats for each wrong half
    assert progress == [4, 6]


def test_batches_do_not_matter() -> None:
    images = torch.randint(3, (101, 3, 2, 2), dtype=torch.uint8)
    data = ImageSet(images, torch.randint(3, (101,)))
    found = [evaluate(first_pixel_as_class, data, batch_size=size) for size in (1, 10, 1000)]
    assert all(torch.equal(f.confusion, found[0].confusion) for f in found)
    assert all(f.loss == pytest.approx(found[0].loss) for f in found)


def test_a_class_without_images_has_no_error() -> None:
    images = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    found = evaluate(first_pixel_as_class, ImageSet(images, torch.tensor([0, 0])))
    assert found.class_error_pct[0] == 0
    assert math.isnan(found.class_error_pct[1])
