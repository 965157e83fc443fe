import pytest
import torch
from torchvision.ops import roi_align, roi_pool

from deepres.detection.roi_pooling import RepeatableRoIAlign, RepeatableRoIPool, RoIPooling

BOXES = [
    torch.tensor([[0.0, 0, 95, 60], [20, 10, 70, 47], [21, 9, 70, 47]]),
    torch.tensor([[300.0, 300, 400, 400], [3, 4, 5, 6]]),  # the first one has empty bins
]
# The map of these is 80 pixels high and 112 wide.
ODD_BOXES = torch.tensor(
    [
        *([0.0, 0, 112, 80], [0, 0, 0, 0], [111, 79, 112, 80]),  # to the edge, empty, in the corner
        *([-16, -16, 40, 30], [-17, -40, 30, 20], [-300, 10, 300, 20]),  # beyond it on two sides
        *([90, 60, 128, 96], [60, 50, 300, 200], [112, 80, 130, 90]),  # and on the others
        *([50, 50, 20, 20], [70, 10, 20, 60], [40, 40, 40, 70]),  # of negative or no extent
        *([200, 200, 300, 300], [-90, -90, -60, -60]),  # wholly outside
    ]
)


def test_the_repeatable_gradient_is_torchvisions() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 3, 5, 7)
    weights = torch.randn(5, 3, 4, 4)
    gradients, outputs = [], []
    for pool in (roi_pool, RepeatableRoIPool.apply):
        x = features.clone().requires_grad_()
        outputs.append(pool(x, BOXES, 4, 1 / 16))
        (outputs[-1] * weights).sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*outputs)
    assert (outputs[0][3] == 0).all()
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("size", [1, 4, 14])
def test_the_repeatable_gradient_of_roi_align_is_torchvisions(size: int) -> None:
    """In float64, and at and beyond every border."""
    torch.manual_seed(size)
    corners = torch.rand(200, 2, 2) * torch.tensor([160.0, 120]) - 24
    boxes = [
        torch.cat([ODD_BOXES, corners.sort(1).values.flatten(1)]).double(),
        torch.empty(0, 4).double(),
        ODD_BOXES.flip(0).double(),
    ]
    features = torch.randn(3, 2, 5, 7, dtype=torch.float64)
    x, again = features.clone().requires_grad_(), features.clone().requires_grad_()
    expected = roi_align(x, boxes, size, 1 / 16, sampling_ratio=2)
    pooled = RepeatableRoIAlign.apply(again, boxes, size, 1 / 16)
    assert torch.equal(pooled, expected)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (pooled * weights).sum().backward()
    assert (x.grad[1] == 0).all()
    torch.testing.assert_close(again.grad, x.grad, rtol=1e-12, atol=1e-12)


def test_the_repeatable_gradient_of_roi_align_without_any_region() -> None:
    x = torch.randn(2, 3, 5, 7, requires_grad=True)
    RepeatableRoIAlign.apply(x, [torch.empty(0, 4)] * 2, 4, 1 / 16).sum().backward()
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["max", "align"])
def test_on_a_gpu_the_gradient_repeats_to_the_bit(kind: str) -> None:
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    features = torch.randn(2, 256, 38, 63)
    boxes = [(32 * torch.rand(64, 4)).cumsum(1) for _ in range(2)]
    pool = RoIPooling(14, kind, 16)
    x = features.cuda().requires_grad_()
    on_gpu = [of_image.cuda() for of_image in boxes]
    gradients = []
    for _ in range(3):
        x.grad = None
        pooled = pool({"0": x}, on_gpu, [])
        pooled.square().sum().backward()
        gradients.append(x.grad.clone())
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])

    expected = features.clone().requires_grad_()
    of_cpu = pool({"0": expected}, boxes, [])
    of_cpu.square().sum().backward()
    torch.testing.assert_close(pooled.cpu(), of_cpu, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gradients[0].cpu(), expected.grad, rtol=1e-3, atol=1e-3)
