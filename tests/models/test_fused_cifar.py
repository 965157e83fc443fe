"""Fused training of §4.2's networks, as far as it can be tried without a GPU."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from triton_interpreter import run_in_interpreter

from deepres.models import build_network

pytest.importorskip("triton", reason="PyTorch brings Triton on Linux only")

from deepres.models import conv_kernels, fused_cifar
from deepres.models.fused_cifar import FusedCifarNet, supports
from deepres.training.activation_checkpointing import checkpoint_blocks

KERNELS = (
    *("forward_kernel", "pool_kernel", "pool_gradient_kernel"),
    *("input_gradient_kernel", "batch_norm_gradient_kernel", "weight_gradient_kernel"),
)


@pytest.mark.slow
def test_the_kernels_in_the_interpreter() -> None:
    run_in_interpreter(Path(__file__).with_name("test_conv_kernels.py"), passed=7)


class Recorded:
    """Stands for a kernel, and keeps what it would be launched with."""

    def __init__(self, kernel: Any, launches: list[tuple[Any, tuple[Any, ...], dict[str, Any]]]):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *args, **options: self.launches.append((self.kernel, args, options))


def launches(name: str, batch: int) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """What a pass forward and backward launches: kernels, arguments, options."""
    recorded: list[Any] = []
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        for kernel in KERNELS:
            patch.setattr(conv_kernels, kernel, Recorded(getattr(conv_kernels, kernel), recorded))
        network = build_network(name).to(memory_format=torch.channels_last)
        FusedCifarNet(network)(torch.empty(batch, 3, 32, 32)).sum().backward()
    return recorded


def test_a_step_has_few_launches() -> None:
    names = [kernel.fn.__name__ for kernel, _, _ in launches("resnet20", 128)]
    assert {name: names.count(name) for name in KERNELS} == {
        "forward_kernel": 19,
        "pool_kernel": 1,
        "pool_gradient_kernel": 1,
        "input_gradient_kernel": 18,
        "batch_norm_gradient_kernel": 1,
        "weight_gradient_kernel": 5,
    }


@pytest.mark.slow
def test_the_kernels_compile_for_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter takes more than the compiler does."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    built = {}
    for kernel, args, options in launches("plain8", 128) + launches("resnet14", 128):
        key = (kernel.fn.__name__, *options.items())
        if key not in built:
            built[key] = compiled(kernel, args, options)
    assert len(built) >= 20
    # or Triton's versions would round in different ways, which 3.9 warns of
    assert all(dict(options)["enable_fp_fusion"] for _, *options in built)
    for outcome in built.values():
        assert len(outcome.asm["cubin"]) > 1_000


def compiled(kernel: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Build ``kernel`` for an H100, for arguments like ``args``."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    own = {"num_warps", "num_stages", "enable_fp_fusion"}
    constants = {name: value for name, value in options.items() if name not in own}
    signature = dict.fromkeys(constants, "constexpr")
    aligned = {}
    for place, (name, value) in enumerate(zip(kernel.arg_names, args, strict=False)):
        kind = kind_of(value)
        signature[name] = kind
        if kind == "constexpr":
            constants[name] = value
        elif isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0):
            aligned[(place,)] = [["tt.divisibility", 16]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    built_with = {name: value for name, value in options.items() if name in own}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=built_with)


def kind_of(value: Any) -> str:
    """The type that Triton gives an argument."""
    if value is None or (isinstance(value, int) and value == 1):
        return "constexpr"
    if isinstance(value, Tensor):
        names = {torch.bfloat16: "*bf16", torch.float32: "*fp32", torch.int64: "*i64"}
        return names[value.dtype]
    return "fp32" if isinstance(value, float) else "i32"


def test_evaluation_is_the_networks_own() -> None:
    network = build_network("resnet8").eval()
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(FusedCifarNet(network)(x), network(x))


@pytest.mark.parametrize("name", ["plain8", "resnet8", "plain20", "resnet110"])
def test_the_papers_networks_are_supported(name: str) -> None:
    with torch.device("meta"):
        assert supports(build_network(name))


def test_other_networks_are_not_supported() -> None:
    with torch.device("meta"):
        others = ["resnet18", "resnet50", "vgg16", "highway19"]
        networks = [build_network(name) for name in others]
        networks.append(build_network("resnet20", residual_layers=1))
        networks.append(build_network("resnet8"))
        checkpoint_blocks(networks[-1])
        networks.append(torch.nn.SyncBatchNorm.convert_sync_batchnorm(build_network("resnet8")))
    assert not any(supports(network) for network in networks)


def test_images_of_another_size_are_not_supported() -> None:
    """As in fine-tuning, which takes the crops that the weights were made for."""
    with torch.device("meta"):
        assert not supports(build_network("resnet20"), 64)


def test_tiles_are_whole_fractions_of_maps() -> None:
    for c, side in fused_cifar.SIDES.items():
        assert side**2 % fused_cifar.TILES[c] == 0
        assert side**2 % fused_cifar.WEIGHT_TILES[c] == 0
