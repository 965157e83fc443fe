"""The fast path on CUDA, one graph with fused kernels, against plain PyTorch there."""

import copy
import dataclasses
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from runs import assert_near, assert_same_bits, resume, train
from torch import Tensor, nn

from deepres.data.cifar10 import Cifar10
from deepres.execution import Execution
from deepres.models import build_network
from deepres.models.batch_norm import batch_norm_relu, fuse_batch_norm
from deepres.recipes import CifarRecipe, ImageNetRecipe, get_recipe
from deepres.run_folder import RunFolder
from deepres.runtime import make_repeatable
from deepres.speed.work import as_they_are
from deepres.training.classification import Classification
from deepres.training.data_source import make_data_source
from deepres.training.interrupt import Interrupted
from deepres.training.mixed_precision import InBf16
from deepres.training.optim import make_optimizer
from deepres.training.run import NewRun, train_together
from deepres.training.step import make_step

pytestmark = pytest.mark.gpu

SHORT = dataclasses.replace(
    get_recipe("resnet20").scaled_to(50), lr=0.01, log_every=5, eval_every=25, precision="fp32"
)


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


def test_graph_is_eager(tmp_path: Path, sample: Cifar10) -> None:
    for graph in (True, False):
        train(SHORT, tmp_path / str(graph), sample, device="cuda", fused_kernels=graph)
    assert_near(tmp_path / "True", tmp_path / "False", until=10)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_graphed_run_repeats_to_the_bit(tmp_path: Path, sample: Cifar10, precision: str) -> None:
    recipe = dataclasses.replace(SHORT, precision=precision)
    for name in ("a", "b"):
        train(recipe, tmp_path / name, sample, device="cuda")
    assert_same_bits(RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b"))


@pytest.mark.parametrize("graph_after", [True, False])
def test_a_graphed_run_goes_on_either_way(
    tmp_path: Path, sample: Cifar10, interrupt_after, graph_after: bool
) -> None:
    train(SHORT, tmp_path / "whole", sample, device="cuda")
    interrupt_after(23)
    with pytest.raises(Interrupted):
        train(SHORT, tmp_path / "cut", sample, device="cuda")
    resume(tmp_path / "cut", sample, device="cuda", fused_kernels=graph_after)
    if graph_after:
        assert_same_bits(RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut"))
    else:
        assert_near(tmp_path / "whole", tmp_path / "cut", until=30)


def test_runs_at_once_are_lone_runs(tmp_path: Path, sample: Cifar10) -> None:
    recipe = dataclasses.replace(SHORT, precision="bf16")
    plain = dataclasses.replace(recipe, model="plain20")
    runs = [
        NewRun(each, seed, tmp_path / f"together-{i}")
        for i, (each, seed) in enumerate([(recipe, 0), (recipe, 1), (plain, 1)])
    ]
    train_together(Classification, runs, sample, Execution.on("cuda"))
    for each, seed, folder, _ in runs:
        alone = folder.with_name(f"{folder.name}-alone")
        train(each, alone, sample, seed=seed, device="cuda")
        assert_same_bits(RunFolder(folder), RunFolder(alone))


def test_bf16_errs_as_fp32_does(tmp_path: Path, sample: Cifar10) -> None:
    """After 400 steps the difference of means is within the noise of four seeds each."""
    errors = {}
    for precision in ("fp32", "bf16"):
        recipe = get_recipe("resnet20").scaled_to(400).changed([f"precision={precision}"])
        runs = [NewRun(recipe, seed, tmp_path / f"{precision}-{seed}") for seed in range(4)]
        results = train_together(Classification, runs, sample, Execution.on("cuda"))
        errors[precision] = [result["test_error_pct"] for result in results]
    means = {precision: statistics.mean(found) for precision, found in errors.items()}
    noise = (sum(statistics.variance(found) / 4 for found in errors.values())) ** 0.5
    assert abs(means["bf16"] - means["fp32"]) < 4 * noise + 0.5, errors


def test_recomputing_saves_memory_and_changes_no_bit(tmp_path: Path, sample: Cifar10) -> None:
    recipe = dataclasses.replace(SHORT, model="resnet56", precision="bf16", steps=10, lr_drops=())
    for recompute in (
        False,
        True,
    ):  # by cuDNN's convolutions both, as whole layers keep what they do
        ways = {"recompute": recompute, "fused_convolutions": False}
        train(recipe, tmp_path / str(recompute), sample, device="cuda", **ways)
    assert_same_bits(RunFolder(tmp_path / "False"), RunFolder(tmp_path / "True"))
    kept, recomputed = (memory_of_a_step(recipe, sample, again) for again in (False, True))
    assert recomputed < 0.7 * kept


def memory_of_a_step(recipe: CifarRecipe, data: Cifar10, recompute: bool) -> int:
    """The most bytes that a step without a graph has beyond what stays from step to step."""
    device = torch.device("cuda")
    network = build_network(recipe.model).to(device).to(memory_format=torch.channels_last)
    here = Execution(device, fused_kernels=False, recompute=recompute)
    batches = make_data_source(data, recipe, 0, here).batches
    optimizer = make_optimizer(network, recipe)
    step = make_step(network, optimizer, batches.prepare, recipe, here)
    step(*batches.take(0))
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(*batches.take(1))
    return torch.cuda.max_memory_allocated() - before


def test_precision_follows_the_device(tmp_path: Path, sample: Cifar10) -> None:
    """Whichever it is, it is no deviation from the recipe."""
    recipe = dataclasses.replace(SHORT, precision="auto", steps=4, lr_drops=())
    fp32 = dataclasses.replace(recipe, precision="fp32")
    result = train(recipe, tmp_path / "cuda", sample, device="cuda")
    plain = train(fp32, tmp_path / "cpu", sample, device="cpu")
    assert result["provenance"]["precision"] == "bf16"  # of any device that has it
    assert plain["provenance"]["precision"] == "fp32"
    assert result["deviations"] == plain["deviations"]


def test_gradients_reach_every_weight(sample: Cifar10) -> None:
    """In bf16, through the kernels, they err as autocast's do, of each kind of weight."""
    torch.manual_seed(0)
    make_repeatable(torch.device("cuda"))
    plain = build_network("resnet20").cuda().to(memory_format=torch.channels_last)
    fast = copy.deepcopy(plain)
    fuse_batch_norm(fast)
    images = sample.train.images[:128].cuda().float() / 255
    labels = sample.train.labels[:128].cuda()

    def gradients(network: nn.Module, computing: Callable[[Tensor], Tensor]) -> list[Tensor]:
        network.zero_grad()
        F.cross_entropy(computing(images).float(), labels).backward()
        return [parameter.grad.clone() for parameter in network.parameters()]

    def autocast(x: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            return plain(x)

    exact, theirs = gradients(plain, plain), gradients(plain, autocast)
    ours = gradients(fast, InBf16(fast))
    for kind in (1, 2, 4):  # dimensions: of BN's and biases, the linear layer's, convolutions'
        e, t, o = (
            torch.cat([g.flatten() for g in found if g.ndim == kind])
            for found in (exact, theirs, ours)
        )
        error, allowed = float((o - e).norm() / e.norm()), float((t - e).norm() / e.norm())
        assert error < 1.3 * allowed < 0.5, (kind, error, allowed)
        assert float((o - t).norm() / e.norm()) < 2 * allowed


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("resnet18", {"shortcut": shortcut}) for shortcut in "ABC"),
        *(("resnet50", {"shortcut": shortcut}) for shortcut in "ABC"),
        ("plain18", {}),
        ("vgg16", {}),
        ("highway19", {}),
        ("resnet20", {"residual_layers": 1}),
        ("resnet1202", {}),
    ],
)
def test_every_kind_of_network_takes_graphed_steps(name: str, options: dict[str, Any]) -> None:
    """Deterministic mode refuses some of PyTorch's operations; the same step twice, to the bit."""
    device = torch.device("cuda")
    make_repeatable(device)
    if name == "vgg16":  # the paper has no recipe for it, and at the ResNets' rate it diverges
        recipe = dataclasses.replace(get_recipe("resnet18"), precision="bf16", lr=0.001)
    else:
        recipe = dataclasses.replace(get_recipe(name), precision="bf16", **options)
    side = 224 if name == "vgg16" else 64 if isinstance(recipe, ImageNetRecipe) else 32
    images = torch.randn(8, 3, side, side, device=device)
    labels = torch.arange(8, device=device)
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        network = build_network(name, num_classes=10, **options).train()
        network = network.to(device).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(network, recipe)
        here = Execution(device, recompute=name == "resnet1202")
        step = make_step(network, optimizer, as_they_are, recipe, here)
        torch.manual_seed(0)  # dropout's
        losses = [step(images, labels).clone() for _ in range(3)]
        assert torch.stack(losses).isfinite().all()
        found.append([*losses, *(p.detach().clone() for p in network.parameters())])
    if name != "vgg16":  # its dropout draws anew in each replay
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_without_a_compiler_pytorchs_kernels_serve(tmp_path: Path) -> None:
    """Triton needs a C compiler; a machine without one trains all the same, and says so."""
    command = [sys.executable, "-m", "deepres", "train", "resnet8", "--steps", "3"]
    command += ["--data", "sample", "--device", "cuda", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "CC": "/nowhere/cc", "TRITON_CACHE_DIR": str(tmp_path / "cache")}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "PyTorch's own kernels" in ran.stdout + ran.stderr
