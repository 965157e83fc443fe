import pytest
import torch

from deepres.data.cifar10 import Cifar10
from deepres.errors import UserError
from deepres.evaluation.responses import layer_responses
from deepres.models import Classifier, build_network


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    network = build_network("resnet8")
    network(torch.randn(64, 3, 32, 32))  # BN's averages move
    return Classifier(network, torch.rand(3, 32, 32), tuple("abcdefghij"))


def test_the_std_is_that_of_all_images_at_once(classifier: Classifier, sample: Cifar10) -> None:
    images = sample.test.images[:30]
    done: list[int] = []
    found = layer_responses(classifier, images.split(8), done.append)  # the last batch is smaller
    assert classifier.training
    assert done == [8, 16, 24, 30]
    assert found.images == 30

    *_, responses = classifier.eval().network.intermediates(classifier.prepare(images))
    assert found.layers == tuple(responses)
    for std, response in zip(found.std, responses.values(), strict=True):
        assert std == pytest.approx(response.double().std(unbiased=False).item(), rel=1e-5)


def test_a_large_mean_does_not_drown_the_std(classifier: Classifier, sample: Cifar10) -> None:
    bn = classifier.network.get_submodule("layer1.0.bn1")
    torch.nn.init.constant_(bn.bias, 1_000)
    torch.nn.init.constant_(bn.weight, 0.1)
    batches = sample.test.images[:20].split(10)
    found = layer_responses(classifier, batches)
    std = dict(zip(found.layers, found.std, strict=True))["layer1.0.conv1"]
    assert 0.02 < std < 0.5


def test_no_images_are_refused(classifier: Classifier) -> None:
    with pytest.raises(UserError, match="no images"):
        layer_responses(classifier, [])
