import dataclasses

import pytest
import torch

from deepres.models import build_network
from deepres.models.stages import StagedNetwork
from deepres.recipes import get_recipe
from deepres.speed.work import Work

CPU = torch.device("cpu")


def test_cifar_training_takes_a_runs_steps() -> None:
    call = Work("training", "resnet8", get_recipe("resnet8"), 16).ready(CPU)
    first, second = call(), call()
    assert first[0].item() == pytest.approx(2.3, abs=1.2)  # untrained: ln 10 and more
    assert first[0] != second[0]


def test_imagenet_training_keeps_one_batch_and_the_recipes_options() -> None:
    recipe = dataclasses.replace(
        get_recipe("resnet50"), crop=64, short_side=(64, 64), stride_on="3x3", lr=0.01
    )
    work = Work("training", "resnet50", recipe, 4, "bf16")
    assert work.size == 64
    assert work.empty_network().architecture["stride_on"] == "3x3"
    call = work.ready(CPU)
    losses = [call()[0].item() for _ in range(4)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_inference_is_the_networks(precision: str, tolerance: float) -> None:
    torch.manual_seed(0)
    probabilities = Work("inference", "resnet8", None, 6, precision).ready(CPU)()
    torch.manual_seed(0)
    network = build_network("resnet8").eval()
    images = torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8) / 255
    expected = network(images - images.mean(0)).softmax(1)
    torch.testing.assert_close(probabilities, expected.detach(), rtol=0, atol=tolerance)
    assert not probabilities.requires_grad


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_inference_is_folded_where_a_test_is(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default ``evaluate`` folds on a CPU alone, and there where oneDNN is."""
    folded: list[StagedNetwork] = []
    monkeypatch.setattr(
        "deepres.speed.work.fuse_for_inference", lambda network, device: folded.append(network)
    )
    work = Work("inference", "resnet8", None, 2, precision)
    work.ready(CPU)
    assert len(folded) == 1
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)  # as on CUDA
    work.ready(CPU)()
    assert len(folded) == 1
