import torch
from torch import Tensor

from deepres.detection.masks import mask_loss

NONE = torch.empty(0, 6, 8, dtype=torch.uint8)


def loss_of(logits: Tensor, labels: list[Tensor], masks: list[Tensor]) -> Tensor:
    boxes = [torch.tensor([[1.0, 1, 7, 5]]).repeat(len(each), 1) for each in labels]
    matched = [torch.zeros_like(each) for each in labels]
    return mask_loss(logits, boxes, labels, matched, [{"masks": each} for each in masks])


def test_images_without_objects_add_nothing() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 4, 4)
    mask = torch.zeros(1, 6, 8, dtype=torch.uint8)
    mask[0, :, :4] = 1
    alone = loss_of(logits, [torch.tensor([0, 2])], [mask])
    assert alone > 0
    beside = loss_of(logits, [torch.tensor([0, 0]), torch.tensor([0, 2])], [NONE, mask])
    assert torch.equal(beside, alone)


def test_without_any_object_the_loss_is_zero() -> None:
    logits = torch.empty(0, 3, 4, 4, requires_grad=True)
    loss = loss_of(logits, [torch.tensor([0, 0])], [NONE])
    loss.backward()
    assert loss == 0
