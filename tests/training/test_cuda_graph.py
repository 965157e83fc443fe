"""A recorded step is the step. FX records it here, operation by operation; CUDA in test_gpu.py."""

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from runs import on_cpu
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from deepres.data.batches import Batches
from deepres.data.cifar10 import Cifar10
from deepres.data.transforms import per_pixel_mean
from deepres.errors import UserError
from deepres.recipes import CifarRecipe, get_recipe
from deepres.training.cuda_graph import WARM_UP_CALLS, GraphedStep, Step, cuda_graph
from deepres.training.optim import make_optimizer, set_learning_rate
from deepres.training.step import initial_network, make_step

CPU = torch.device("cpu")
STEPS = 50


def fx_graph(step: Step, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    """Record the operations of a step; whatever the host decided in it is fixed from then on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = make_fx(step)(*inputs)

    @torch.no_grad()
    def replay() -> Tensor:
        outcome: Tensor = graph(*inputs)
        return outcome

    return replay


class Trained:
    """A network in training, graphed or not."""

    def __init__(self, data: Cifar10, recipe: CifarRecipe, graphed: bool) -> None:
        here = on_cpu(fused_kernels=False)  # what records here sees into no kernel in C
        mean = per_pixel_mean(data.train.images)
        self.batches = Batches(
            data.train, mean, dataclasses.replace(recipe, batch_size=16), 0, here
        )
        self.network = initial_network(recipe, 10, 0).to(memory_format=torch.channels_last).train()
        self.optimizer = make_optimizer(self.network, recipe)
        self.step = make_step(self.network, self.optimizer, self.batches.prepare, recipe, here)
        if graphed:
            momenta = [state["momentum_buffer"] for state in self.optimizer.state.values()]
            changing = [*self.network.state_dict().values(), *momenta]
            self.step = GraphedStep(self.step, changing, record=fx_graph)

    def take(self, number: int) -> list[float]:
        set_learning_rate(self.optimizer, 0.1 if number < STEPS / 2 else 0.01)
        return self.step(*self.batches.take(number)).tolist()


@pytest.mark.parametrize(
    ("name", "settings", "steps"),
    [
        ("resnet8", ["precision=fp32"], range(STEPS)),
        ("resnet8", ["precision=bf16", "accumulate=2"], range(STEPS // 2 - 2, STEPS // 2 + 2)),
        ("highway19", ["precision=bf16"], range(2)),
    ],
)
def test_a_recorded_step_is_the_step(
    sample: Cifar10, name: str, settings: list[str], steps: range
) -> None:
    recipe = get_recipe(name).changed(settings)
    assert isinstance(recipe, CifarRecipe)
    plain, graphed = Trained(sample, recipe, False), Trained(sample, recipe, True)
    for number in steps:
        assert plain.take(number) == graphed.take(number), number
    for (name, a), b in zip(
        plain.network.state_dict().items(), graphed.network.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name


def test_a_batch_that_lost_images_is_taken_step_by_step(sample: Cifar10) -> None:
    recipe = get_recipe("resnet8")
    assert isinstance(recipe, CifarRecipe)
    plain, graphed = Trained(sample, recipe, False), Trained(sample, recipe, True)
    for images in (16, 13, 16):
        [draws] = plain.batches.take(images)
        assert plain.step(draws[:images]).tolist() == graphed.step(draws[:images]).tolist()


def test_a_first_batch_that_lost_images_does_not_stay_what_is_recorded() -> None:
    recorded = []

    def record(step: Step, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
        recorded.append(len(inputs[0]))
        return lambda: step(*inputs)

    total = torch.zeros(())
    step = GraphedStep(lambda images: total.add_(images.sum()).clone(), [total], record)
    for images in (3, 4, 3, 4):
        step(torch.ones(images))
    assert recorded == [3, 4]
    assert total == 14


@contextmanager
def broken_recording(*_: object, **__: object) -> Iterator[None]:
    """Ends as CUDA's does after an error in it: with another."""
    try:
        yield
    except Exception as error:
        raise RuntimeError("CUDA error: operation failed due to a previous error") from error


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (RuntimeError("not permitted\nmore"), UserError, r"\(not permitted\).*--no-fused-kernels"),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError, "out of memory"),
    ],
)
def test_a_step_that_cannot_be_recorded_names_the_way_without_a_graph(
    error: Exception, expected: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Stream", "current_stream", "stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, MagicMock())
    monkeypatch.setattr(torch.cuda, "graph", broken_recording)
    calls: list[Any] = []

    def step(x: Tensor) -> Tensor:
        calls.append(x)
        if len(calls) > WARM_UP_CALLS:
            raise error
        return x

    with pytest.raises(expected, match=words):
        cuda_graph(step, (torch.zeros(1),))
