import pytest
import torch
from torchvision.ops import roi_pool

from deepres.detection.roi_pooling import RepeatableRoIPool, RoIPooling

BOXES = [
    torch.tensor([[0.0, 0, 95, 60], [20, 10, 70, 47], [21, 9, 70, 47]]),
    torch.tensor([[300.0, 300, 400, 400], [3, 4, 5, 6]]),  # the first one has empty bins
]


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


@pytest.mark.gpu
def test_on_a_gpu_the_gradient_repeats_to_the_bit() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 256, 38, 63, device="cuda", requires_grad=True)
    boxes = [32 * torch.rand(64, 4, device="cuda").cumsum(1) for _ in range(2)]
    pool = RoIPooling(14, "max", 16)
    gradients = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(3):
            x.grad = None
            pool({"0": x}, boxes, []).square().sum().backward()
            gradients.append(x.grad.clone())
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])
