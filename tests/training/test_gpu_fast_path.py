"""The fast path on CUDA, one graph with fused kernels, against plain PyTorch there."""

import copy
import dataclasses
import os
import signal
import statistics
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from deepres.data.cifar10 import Cifar10
from deepres.models.batch_norm import batch_norm_relu, fuse_batch_norm
from deepres.recipes import get_recipe
from deepres.run_folder import RunFolder
from deepres.training import resume, train
from deepres.training.interrupt import Interrupted
from deepres.training.run import train_together
from deepres.training.setup import How
from deepres.training.state import TrainingState

pytestmark = pytest.mark.gpu

SHORT = dataclasses.replace(
    get_recipe("resnet20").shortened(50), lr=0.01, log_every=5, eval_every=25, precision="fp32"
)


def losses(folder: Path) -> list[float]:
    return [e["loss"] for e in RunFolder(folder).read_events() if e["split"] == "train"]


def assert_same_bits(a: Path, b: Path) -> None:
    first, second = (load_file(RunFolder(path).weights) for path in (a, b))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    assert losses(a) == losses(b)


@pytest.mark.parametrize("shape", [(128, 16, 32, 32), (128, 64, 8, 8), (32, 2048, 7, 7)])
@pytest.mark.parametrize("with_shortcut", [False, True])
def test_the_kernels_are_pytorchs_batch_norm(shape: tuple[int, ...], with_shortcut: bool) -> None:
    torch.manual_seed(0)
    exact = nn.BatchNorm2d(shape[1]).cuda().double()
    nn.init.normal_(exact.weight)
    nn.init.normal_(exact.bias)
    fused = copy.deepcopy(exact).float()
    fuse_batch_norm(fused)
    inputs = [torch.randn(shape, device="cuda") for _ in range(2)]
    inputs = [x.contiguous(memory_format=torch.channels_last) for x in inputs]
    found: dict[nn.Module, list[Tensor]] = {}
    for layer, dtype in ((exact, torch.float64), (fused, torch.float32)):
        x, shortcut = (tensor.to(dtype).requires_grad_() for tensor in inputs)
        y = batch_norm_relu(layer, x, shortcut if with_shortcut else None)
        (y * y.detach()).sum().backward()  # next to nothing where ReLU's side is uncertain
        kept = [x.grad, layer.weight.grad, layer.bias.grad, *layer.buffers()]
        found[layer] = [y.detach(), *kept, *([shortcut.grad] if with_shortcut else [])]
    for expected, got in zip(found[exact], found[fused], strict=True):
        scale = float(expected.double().norm()) / expected.numel() ** 0.5
        torch.testing.assert_close(got.double(), expected.double(), rtol=1e-4, atol=1e-4 * scale)


def test_graph_is_eager_over_50_steps(tmp_path: Path, sample: Cifar10) -> None:
    for graph in (True, False):
        train(SHORT, tmp_path / str(graph), sample, device="cuda", graph=graph)
    torch.testing.assert_close(
        torch.tensor(losses(tmp_path / "True")),
        torch.tensor(losses(tmp_path / "False")),
        rtol=2e-3,
        atol=0,
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_graphed_run_repeats_to_the_bit(tmp_path: Path, sample: Cifar10, precision: str) -> None:
    recipe = dataclasses.replace(SHORT, precision=precision)
    for name in ("a", "b"):
        train(recipe, tmp_path / name, sample, device="cuda")
    assert_same_bits(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("graph_after", [True, False])
def test_a_graphed_run_goes_on_either_way(
    tmp_path: Path, sample: Cifar10, monkeypatch: pytest.MonkeyPatch, graph_after: bool
) -> None:
    train(SHORT, tmp_path / "whole", sample, device="cuda")
    true_record = TrainingState.record

    def record(state: TrainingState, outcome: Tensor) -> None:
        true_record(state, outcome)
        if state.step == 23:
            monkeypatch.setattr(TrainingState, "record", true_record)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingState, "record", record)
    with pytest.raises(Interrupted):
        train(SHORT, tmp_path / "cut", sample, device="cuda")
    resume(tmp_path / "cut", sample, device="cuda", graph=graph_after)
    if graph_after:
        assert_same_bits(tmp_path / "whole", tmp_path / "cut")
    torch.testing.assert_close(
        torch.tensor(losses(tmp_path / "whole")),
        torch.tensor(losses(tmp_path / "cut")),
        rtol=2e-3,
        atol=0,
    )


def test_seeds_at_once_are_lone_runs(tmp_path: Path, sample: Cifar10) -> None:
    recipe = dataclasses.replace(SHORT, precision="bf16")
    runs = {seed: tmp_path / f"together-{seed}" for seed in range(3)}
    train_together(recipe, runs, sample, How(device="cuda"))
    for seed, folder in runs.items():
        train(recipe, tmp_path / f"alone-{seed}", sample, seed=seed, device="cuda")
        assert_same_bits(folder, tmp_path / f"alone-{seed}")


def test_bf16_errs_as_fp32_does(tmp_path: Path, sample: Cifar10) -> None:
    """After 400 steps the difference of means is within the noise of four seeds each."""
    errors = {}
    for precision in ("fp32", "bf16"):
        recipe = get_recipe("resnet20").shortened(400).changed([f"precision={precision}"])
        runs = {seed: tmp_path / f"{precision}-{seed}" for seed in range(4)}
        results = train_together(recipe, runs, sample, How(device="cuda"))
        errors[precision] = [result["test_error_pct"] for result in results]
    means = {precision: statistics.mean(found) for precision, found in errors.items()}
    noise = (sum(statistics.variance(found) / 4 for found in errors.values())) ** 0.5
    assert abs(means["bf16"] - means["fp32"]) < 4 * noise + 0.5, errors


def test_recomputing_saves_memory_and_changes_no_bit(tmp_path: Path, sample: Cifar10) -> None:
    recipe = dataclasses.replace(SHORT, model="resnet56", precision="bf16", steps=10, lr_drops=())
    peaks = {}
    for recompute in (False, True):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        folder = tmp_path / str(recompute)
        train(recipe, folder, sample, device="cuda", recompute=recompute)
        peaks[recompute] = torch.cuda.max_memory_allocated() - before
    assert_same_bits(tmp_path / "False", tmp_path / "True")
    assert peaks[True] < 0.7 * peaks[False]


def test_precision_follows_the_device(tmp_path: Path, sample: Cifar10) -> None:
    recipe = dataclasses.replace(SHORT, precision="auto", steps=4, lr_drops=())
    for device, expected in (("cuda", "bf16"), ("cpu", "fp32")):
        result = train(recipe, tmp_path / device, sample, device=device)
        assert result["provenance"]["precision"] == expected
        assert result["departures"] == {}


def test_gradients_reach_every_weight(sample: Cifar10) -> None:
    """In bf16, through the kernels, they are fp32's but for rounding."""
    from deepres.models import create_model
    from deepres.training.precision import InBf16

    torch.manual_seed(0)
    plain = create_model("resnet20").cuda().to(memory_format=torch.channels_last)
    fast = copy.deepcopy(plain)
    fuse_batch_norm(fast)
    images = sample.train.images[:128].cuda().float() / 255
    labels = sample.train.labels[:128].cuda()
    for computing in (plain, InBf16(fast)):
        F.cross_entropy(computing(images).float(), labels).backward()
    for (name, a), b in zip(plain.named_parameters(), fast.parameters(), strict=True):
        assert float((a.grad - b.grad).norm() / a.grad.norm()) < 0.15, name
