import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from deepres.data.cifar10 import ImageSet
from deepres.distributed import World
from deepres.errors import UserError
from deepres.evaluation.metrics import validate


def first_pixel_as_class(images: torch.Tensor) -> torch.Tensor:
    """Be certain of the class that the first pixel names."""
    return 20.0 * F.one_hot(images[:, 0, 0, 0].long(), 3).float()


def test_errors_and_confusion_by_hand() -> None:
    said, labels = [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 0, 0]
    images = torch.tensor(said, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    data = ImageSet(images, torch.tensor(labels))
    found = validate(first_pixel_as_class, data, batch_size=4)
    assert found.confusion.tolist() == [[1, 0, 2], [1, 1, 0], [0, 0, 1]]
    assert (found.images, found.errors) == (6, 3)
    assert found.error_pct == 50.0
    assert found.loss == pytest.approx(10.0, rel=1e-6)  # 20 nats for each wrong half


def test_batches_do_not_matter() -> None:
    images = torch.randint(3, (101, 3, 2, 2), dtype=torch.uint8)
    data = ImageSet(images, torch.randint(3, (101,)))
    found = [validate(first_pixel_as_class, data, batch_size=size) for size in (1, 10, 1000)]
    assert all(torch.equal(f.confusion, found[0].confusion) for f in found)
    assert all(f.loss == pytest.approx(found[0].loss) for f in found)


@given(classes=st.integers(2, 12), seed=st.integers(0, 99))
def test_the_top_5_error_is_that_of_a_plain_count(classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, classes, generator=generator)
    labels = torch.randint(classes, (40,), generator=generator)
    images = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    found = validate(
        lambda batch: logits[batch[:, 0, 0, 0].long()], ImageSet(images, labels), batch_size=7
    )
    missed = [
        sum(other > row[label] for other in row) >= 5
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    assert found.top5_errors == sum(missed)
    assert found.top5_error_pct == pytest.approx(100 * sum(missed) / 40)


@pytest.mark.parametrize("size", [2, 3])
def test_the_parts_of_all_processes_add_up(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(3, (101, 3, 2, 2), dtype=torch.uint8)
    data = ImageSet(images, torch.randint(3, (101,)))
    alone = validate(first_pixel_as_class, data)
    monkeypatch.setattr(World, "sum", lambda world, tensor: tensor)
    monkeypatch.setattr(World, "max", lambda world, *values: values)
    parts = [validate(first_pixel_as_class, data, world=World(rank, size)) for rank in range(size)]
    assert torch.equal(sum(part.confusion for part in parts), alone.confusion)
    assert sum(part.top5_errors for part in parts) == alone.top5_errors
    assert sum(part.loss * part.images for part in parts) / 101 == pytest.approx(alone.loss)


def test_a_process_without_images_shares_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ImageSet(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.tensor([0]))
    others = validate(first_pixel_as_class, data)

    def add_others(world: World, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.add_(others.confusion) if tensor.dim() else tensor

    monkeypatch.setattr(World, "sum", add_others)
    monkeypatch.setattr(World, "max", lambda world, *values: [len(others.confusion)])
    found = validate(first_pixel_as_class, data, world=World(1, 2))
    assert torch.equal(found.confusion, others.confusion)


@pytest.mark.parametrize("label", [-100, -1, 3])
def test_a_label_of_none_of_the_classes_is_named(label: int) -> None:
    data = ImageSet(torch.zeros(2, 3, 2, 2, dtype=torch.uint8), torch.tensor([2, label]))
    said = f"an image has the label {label}, and the network's 3 classes go from 0 to 2"
    with pytest.raises(UserError, match=said):
        validate(first_pixel_as_class, data)


def test_no_image_at_all_is_an_error() -> None:
    nothing = ImageSet(torch.zeros(0, 3, 2, 2, dtype=torch.uint8), torch.zeros(0).long())
    with pytest.raises(UserError, match="none of the 0 images can be decoded"):
        validate(first_pixel_as_class, nothing)
