import pytest
import torch
from torch import nn

from deepres.evaluation.grad_cam import grad_cam
from deepres.models import Classifier, build_network
from deepres.models.stages import StagedNetwork


class Linear(StagedNetwork):
    """Two channels, red and green, and one linear layer on their 1×2 maps."""

    def __init__(self, weight: list[list[float]]) -> None:
        super().__init__(input_size=2)
        self.conv1 = nn.Conv2d(3, 2, 1, bias=False)
        self.conv1.weight.data = torch.eye(3)[:2, :, None, None]
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(4, len(weight), bias=False)
        self.fc.weight.data = torch.tensor(weight)
        self.stages = {"conv1": ("conv1",), "fc": ("flatten", "fc")}


def test_a_case_computed_by_hand() -> None:
    # The gradient of a class's logit is its row: red left, red right, green left, green right.
    network = Linear([[1.0, 3.0, -2.0, 0.0], [0.0, 0.0, 4.0, -8.0]])
    classifier = Classifier(network, torch.zeros(3, 1, 1), ("a", "b")).eval()
    red, green = [[255, 51]], [[102, 255]]  # 1, 0.2 and 0.4, 1
    image = torch.tensor([[red, green, [[9, 9]]]], dtype=torch.uint8)
    found = grad_cam(classifier, image.expand(2, -1, -1, -1), torch.tensor([0, 1]))
    # a: 2·red − 1·green, and 0.4 − 1 is cut off; b: 0·red − 2·green
    torch.testing.assert_close(found, torch.tensor([[[1.6, 0.0]], [[0.0, 0.0]]]))


@pytest.mark.parametrize("name", ["resnet8", "plain8", "highway19"])
def test_with_average_pooling_it_is_the_last_layers_weighted_sum(name: str) -> None:
    """The class activation map of Zhou et al. (2016), of which Grad-CAM is the generalisation."""
    torch.manual_seed(0)
    classifier = Classifier(build_network(name), torch.zeros(3, 1, 1), tuple("abcdefghij")).eval()
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    found = grad_cam(classifier, images, torch.tensor([7, 2]))
    with torch.no_grad():
        maps = classifier.network.feature_map(classifier.prepare(images))
    weights = classifier.network.get_submodule("fc").weight[[7, 2]]
    expected = torch.einsum("nc,nchw->nhw", weights, maps).relu() / 64
    torch.testing.assert_close(found, expected)
    assert found.max() > 0
    assert not found.requires_grad
