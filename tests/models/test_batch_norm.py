"""The fused kernels, run by Triton's interpreter and built by its compiler: no GPU is needed."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from triton_interpreter import run_in_interpreter

from deepres.models import batch_norm_cpu, build_network
from deepres.models.batch_norm import FusedBatchNorm, batch_norm_relu, fuse_batch_norm

triton = pytest.importorskip("triton", reason="PyTorch brings Triton on Linux only")


def test_the_kernels_in_the_interpreter() -> None:
    run_in_interpreter(Path(__file__).with_name("test_batch_norm_kernels.py"), passed=15)


@pytest.mark.parametrize("has_shortcut", [False, True])
@pytest.mark.parametrize("channels", [16, 64])
def test_the_kernels_compile_for_a_gpu(
    channels: int, has_shortcut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter takes more than the compiler does."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from deepres.models import batch_norm_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    how = batch_norm_kernels.Launch(128 * 32 * 32, channels)
    options = how.options | {"padded_parts": how.padded_parts, "has_shortcut": has_shortcut}
    activations = ("x", "y", "dy", "shortcut", "dx", "dshortcut")
    kinds = dict.fromkeys(activations, "*bf16") | dict.fromkeys(("momentum", "eps"), "fp32")
    kinds |= dict.fromkeys(("rows", "channels", "rows_a_part", "parts"), "i32")
    kinds |= {"batches_tracked": "*i64"}
    for kernel in (
        batch_norm_kernels.moments_kernel,
        batch_norm_kernels.forward_kernel,
        batch_norm_kernels.gradient_sums_kernel,
        batch_norm_kernels.backward_kernel,
    ):
        constants = {name: options[name] for name in kernel.arg_names if name in options}
        signature = {name: kinds.get(name, "*fp32") for name in kernel.arg_names}
        signature |= dict.fromkeys(constants, "constexpr")
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        built = triton.compile(
            source, target=GPUTarget("cuda", 90, 32), options=batch_norm_kernels.OPTIONS
        )
        assert len(built.asm["cubin"]) > 1_000


def test_a_fused_network_has_the_same_tensors_and_evaluates_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_norm_cpu, "library", object)  # with and without a compiler
    network = build_network("resnet50", shortcut="B", num_classes=4).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = torch.randn(1, 3, 64, 64)
    logits = network(x)
    fuse_batch_norm(network)
    assert sum(isinstance(m, FusedBatchNorm) for m in network.modules()) == 53
    assert torch.equal(network(x), logits)
    assert network.state_dict().keys() == before.keys()


def test_a_layer_that_is_evaluated_alone_keeps_its_relu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_norm_cpu, "library", object)  # with and without a compiler
    network = build_network("resnet8", num_classes=4)
    fuse_batch_norm(network)
    network = copy.deepcopy(network)
    bn1, x = network.get_submodule("bn1").eval(), torch.randn(2, 16, 8, 8)
    assert torch.equal(network.get_submodule("relu")(bn1(x)), bn1(x).relu())
    assert bn1(x).min() < 0


def test_blocks_hand_their_shortcut_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fused training goes through the kernels for every BN before a ReLU, the stem's too."""
    shortcuts = []

    def note(batch_norm: nn.BatchNorm2d, x: Tensor, shortcut: Tensor | None) -> Tensor:
        shortcuts.append(shortcut is not None)
        return batch_norm_relu(nn.BatchNorm2d(x.shape[1]), x, shortcut)

    def relu_of_its_own(relu: nn.ReLU, x: Tensor) -> Tensor:
        raise AssertionError("a pass over memory that the kernels make needless")

    monkeypatch.setattr(batch_norm_cpu, "library", object)  # with and without a compiler
    monkeypatch.setattr(batch_norm_cpu, "batch_norm_relu", note)
    monkeypatch.setattr(nn.ReLU, "forward", relu_of_its_own)
    for name, expected in [
        ("resnet8", [False, *[False, True] * 3]),
        ("plain8", [False] * 7),
        ("resnet50", [False, *[False, False, True] * 16]),
        ("highway19", [False] * 18),
    ]:
        shortcuts.clear()
        network = build_network(name, num_classes=3)
        fuse_batch_norm(network)
        network(torch.randn(2, 3, 32, 32))
        assert shortcuts == expected


def test_what_keeps_triton_from_building_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepres.models import batch_norm

    def fail(*_: object) -> Tensor:
        raise RuntimeError("Failed to find C compiler.\nAnd much more.")

    def no_memory(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nn.Module, "to", lambda module, device: module)
    monkeypatch.setattr(torch, "zeros", lambda *shape, device, **more: torch.ones(*shape, **more))
    no_compiler = "PyTorch: Triton cannot build them: Failed to find C compiler."

    class FailsBackward(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        backward = staticmethod(fail)

    try:
        for outcome, expected in [
            (fail, no_compiler),
            (lambda batch_norm, x, _: FailsBackward.apply(x), no_compiler),
            (lambda batch_norm, x, _: 2 * x, "Triton"),
        ]:
            batch_norm._try_triton.cache_clear()
            monkeypatch.setattr(batch_norm, "batch_norm_relu", outcome)
            assert batch_norm.fused_by(torch.device("cuda")) == expected
        batch_norm._try_triton.cache_clear()
        monkeypatch.setattr(batch_norm, "batch_norm_relu", no_memory)
        with pytest.raises(torch.OutOfMemoryError):  # that is not Triton's fault
            batch_norm.fused_by(torch.device("cuda"))
    finally:
        batch_norm._try_triton.cache_clear()
