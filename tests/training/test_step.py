"""Which kernels a step is computed by, and what is said of those that a GPU cannot run."""

import dataclasses

import pytest
import torch

from deepres.execution import Execution
from deepres.recipes import get_recipe
from deepres.torch_errors import MEMORY_FULL, in_words
from deepres.training import step
from deepres.training.optim import make_optimizer

pytest.importorskip("triton", reason="PyTorch brings Triton on Linux only")

from deepres.models import fused_cifar
from deepres.models.fused_cifar import FusedCifarNet

SHARED_MEMORY = "out of resource: shared memory, Required: 101376, Hardware limit: 65536"
RECIPE = dataclasses.replace(get_recipe("resnet8"), precision="bf16", batch_size=4)


@pytest.mark.parametrize(
    ("batch_norm", "layers", "expected", "said"),
    [
        ("Triton", None, step.WHOLE_LAYERS, []),
        (
            *("Triton", SHARED_MEMORY, "Triton"),
            [f"no fused convolutions: {SHARED_MEMORY}; cuDNN's convolutions take their place"],
        ),
        (
            *("PyTorch: no compiler", None, "PyTorch: no compiler"),
            ["no fused kernels: no compiler; PyTorch's own kernels take their place"],
        ),
    ],
)
def test_a_gpu_falls_back_on_kernels_that_it_can_run(
    batch_norm: str,
    layers: str | None,
    expected: str,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each time a line says so, once, and provenance says what it was."""
    monkeypatch.setattr(step, "fused_by", lambda _: batch_norm)
    monkeypatch.setattr(step, "_try_whole_layers", lambda *_: layers)
    made: list[FusedCifarNet] = []
    monkeypatch.setattr(
        fused_cifar, "FusedCifarNet", lambda network: made.append(network) or network
    )
    lines: list[str] = []
    here = Execution(torch.device("cuda"), say=lines.append)
    network = step.initial_network(RECIPE, 10, 0)
    step.make_step(network, make_optimizer(network, RECIPE), lambda taken: taken, RECIPE, here)
    assert step.computed_by(RECIPE, here)["kernels"] == expected
    assert lines == said
    assert bool(made) == (expected == step.WHOLE_LAYERS)


def test_kernels_that_do_not_run_are_told_by_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made once, with the network and the images of a step, and draws no random numbers."""
    tried: list[tuple[int, ...]] = []

    def fail(computed: fused_cifar._Pass) -> torch.Tensor:
        tried.append(computed.images.shape)
        raise RuntimeError(f"{SHARED_MEMORY}.\nAnd much more.")

    def fail_without_a_word(computed: fused_cifar._Pass) -> torch.Tensor:
        raise AssertionError

    monkeypatch.setattr(fused_cifar._Pass, "forward", fail)
    step._try_whole_layers.cache_clear()
    before, cpu = torch.get_rng_state(), torch.device("cpu")
    recipe = dataclasses.replace(RECIPE, batch_size=7, accumulate=2)
    assert [step._try_whole_layers(recipe, cpu) for _ in range(2)] == [f"{SHARED_MEMORY}."] * 2
    assert tried == [(4, 32, 32, 16)]
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(fused_cifar._Pass, "forward", fail_without_a_word)
    step._try_whole_layers.cache_clear()
    assert step._try_whole_layers(recipe, cpu) == "AssertionError"
    monkeypatch.setattr(fused_cifar._Pass, "forward", lambda _: torch.zeros(4, 64))
    monkeypatch.setattr(fused_cifar._Pass, "backward", lambda computed, _: [None] * 21)
    step._try_whole_layers.cache_clear()
    assert step._try_whole_layers(recipe, cpu) is None


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_a_trial_that_memory_is_too_small_for_says_nothing_about_the_kernels(
    error: RuntimeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: fused_cifar._Pass) -> torch.Tensor:
        raise error

    monkeypatch.setattr(fused_cifar._Pass, "forward", fail)
    step._try_whole_layers.cache_clear()
    with pytest.raises(type(error), match=r"out of memory|ALLOC_FAILED"):
        step._try_whole_layers(RECIPE, torch.device("cpu"))
    assert in_words(error) == MEMORY_FULL
