"""ResNet-50's images per second in inference, against torchvision, timm, onnxruntime, in turns.

    python benchmarks/inference.py [--device cuda] [--precision bf16]

The peers run as a customary script runs them: an eager model in the default memory format, the
allocator as it is; onnxruntime runs, on a CPU, our network as ``deepres export`` writes it. All
networks have the same weights, and each one's output is compared with torchvision's, computed in
float32 on the CPU, before it is timed. Input is random and already on the device: nothing is
loaded. On CUDA every side may choose its fastest convolutions (cudnn.benchmark); float32
convolutions are PyTorch's default there, TF32.

A turn of each side runs in a process of its own, so that allocator settings stay with whom they
belong to. What the machine does at most takes its turn too.
On a CPU that others use too, ``--threads 1`` measures CPU time instead of wall time.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from turns import (
    DTYPES,
    LIMIT,
    SHARE_OF_LIMIT,
    limit_line,
    limits,
    peer_versions,
    ratios,
    seconds,
    shares_of_limit,
    spread,
    summary,
    take_turns,
    values,
    write_results,
)

from deepres.models import Classifier, build_network
from deepres.models.complexity import total_cost
from deepres.models.create import build_empty
from deepres.models.exchange.onnx_file import INPUT, OUTPUT, encode_onnx
from deepres.models.fold import fold_batch_norm
from deepres.models.fuse import compute_in_bf16, fuse_for_inference
from deepres.models.stages import StagedNetwork
from deepres.provenance import provenance
from deepres.runtime import keep_freed_memory, resolve_device

PEER, ONNXRUNTIME = "torchvision", "onnxruntime"
FUSED = "ours, as evaluated"
WARM_UP_CALLS = 1
Weights = dict[str, Tensor]


def from_torchvision() -> nn.Module:
    """Build torchvision's network; BN's statistics are drawn, since fresh ones would hide it."""
    torch.manual_seed(0)
    network: nn.Module = torchvision.models.resnet50()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network


def from_timm(weights: Weights) -> nn.Module:
    """Build timm's network."""
    import timm  # takes seconds, and is not everywhere

    network: nn.Module = timm.create_model("resnet50")
    network.load_state_dict(weights)
    return network


def ours(weights: Weights) -> StagedNetwork:
    """Build our network, as its constructor leaves it."""
    network = build_network("resnet50", stride_on="3x3")
    network.load_state_dict(weights)
    return network.eval()


def ours_as_loaded(weights: Weights) -> StagedNetwork:
    """Build our network as ``load_model`` has it."""
    keep_freed_memory()
    return ours(weights).to(memory_format=torch.channels_last)


def ours_folded(weights: Weights) -> StagedNetwork:
    """Build our network with BN folded into the convolutions."""
    network = ours_as_loaded(weights)
    fold_batch_norm(network)
    return network.to(memory_format=torch.channels_last)


def ours_fused(weights: Weights) -> StagedNetwork:
    """Build our network as ``deepres evaluate`` has it on a CPU."""
    network = ours_as_loaded(weights)
    fuse_for_inference(network, torch.device("cpu"))
    return network


def ours_compiled(weights: Weights) -> nn.Module:
    """Fold our network, and have it compiled."""
    network = ours_folded(weights)
    network.compile()
    return network


class OnnxNetwork(nn.Module):
    """Our network as onnxruntime runs it."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        import onnxruntime  # not everyone has it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        graph = encode_onnx(Classifier(ours(weights), torch.zeros(3, 1, 1), ()))
        self.session = onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, 1000)."""
        return torch.from_numpy(self.session.run([OUTPUT], {INPUT: images.numpy()})[0])


SIDES: dict[str, Callable[[Weights], nn.Module]] = {
    PEER: lambda weights: from_torchvision(),
    "timm": from_timm,
    "ours": ours,
    "ours, as loaded": ours_as_loaded,
    "ours, folded": ours_folded,
    FUSED: ours_fused,
    ONNXRUNTIME: OnnxNetwork,
    "ours, folded and compiled": ours_compiled,  # the slowest to begin
}


def measure(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Time one side in this process, after a look at what it computes."""
    device = resolve_device(options.device)
    torch.backends.cudnn.benchmark = True
    if side == LIMIT:
        return limits(device, options.precision)
    if side in (FUSED, ONNXRUNTIME) and device.type != "cpu":
        return {"skipped": "it is for a CPU"}
    bf16 = options.precision == "bf16"
    if side == ONNXRUNTIME and bf16:
        return {"skipped": "it is in float32"}
    reference = from_torchvision().eval()
    try:
        network = SIDES[side](reference.state_dict()).eval().to(device)
    except ImportError as error:
        return {"skipped": str(error)}
    images = torch.randn(options.batch, 3, options.size, options.size)
    expected = reference(images[:2]).detach()
    images = images.to(device)
    if side == FUSED and bf16:  # as for --precision bf16
        compute_in_bf16(network)
        images, bf16 = images.bfloat16(), False
    if side.startswith("ours, "):  # as Classifier.prepare leaves them
        images = images.contiguous(memory_format=torch.channels_last)

    def call() -> Tensor:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=bf16),
        ):
            logits: Tensor = network(images)
        return logits

    try:
        found = call()[:2].float().cpu()
    except Exception as error:  # there are many ways to have no compiler that works
        if not side.endswith("compiled"):
            raise
        return {"skipped": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    difference = float((found - expected).abs().max() / expected.abs().max())
    if difference > tolerance(device, options.precision):
        raise SystemExit(f"{side} is not the same network: outputs differ by {difference:.1e}")
    seconds(call, WARM_UP_CALLS, device)
    taken = seconds(call, options.calls, device)
    return {"images_per_s": options.calls * options.batch / taken, "difference": difference}


def tolerance(device: torch.device, precision: str) -> float:
    """Return how far rounding may take an output, as a share of the largest."""
    if precision == "bf16":
        return 0.1
    return 1e-4 if device.type == "cpu" else 1e-2  # TF32 has 10 bits


def main() -> None:
    """Measure in turns, print a table, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=list(DTYPES), default="fp32")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=224, help="side of the images, in pixels")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of the CPU (default: all)"
    )
    parser.add_argument("--calls", type=int, default=3, help="batches a turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each side")
    parser.add_argument("--out", type=Path, help="default: a file of this machine's in results/")
    parser.add_argument("--side", choices=[*SIDES, LIMIT], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.side:
        print(json.dumps(measure(options.side, options)))
        return

    sizes = {name: getattr(options, name) for name in ("precision", "batch", "size", "calls")}
    arguments = ["--device", options.device, "--threads", str(options.threads)]
    arguments += [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    turns = take_turns(__file__, [LIMIT, *SIDES], options.turns, arguments)
    network = build_empty("resnet50", stride_on="3x3")
    cost = 2 * total_cost(network, options.size).multiply_adds
    share = shares_of_limit(turns, dict.fromkeys(SIDES, options.precision), cost)
    results = {
        "provenance": provenance(torch.device(options.device)),
        **peer_versions(),
        **sizes,
        "operations per image": cost,
        "summary": summary(turns, [PEER, ONNXRUNTIME]),
        SHARE_OF_LIMIT: share,
        "turns": turns,
    }
    suffix = "" if options.precision == "fp32" else f"-{options.precision}"
    path = write_results(f"inference{suffix}", results, options.out)
    hardware = results["provenance"]["hardware"]
    print(f"ResNet-50 inference, {hardware}, torch {torch.__version__}, {sizes}, n={options.turns}")
    heads = [f"times {peer}" for peer in (PEER, ONNXRUNTIME)]
    print(f"{'':26} {'images/s':24} {heads[0]:24} {heads[1]:24} {SHARE_OF_LIMIT}")
    for side in SIDES:
        if not values(turns, side):
            print(f"{side:26} skipped: {turns[0][side]['skipped']}")
            continue
        against = [ratios(turns, side, peer) for peer in (PEER, ONNXRUNTIME)]
        times = " ".join(f"{spread(ratio):24}" for ratio in against)
        print(f"{side:26} {spread(values(turns, side), 1):24} {times} {spread(share[side])}")
    print(f"{limit_line(turns, options.precision)}\nwritten to {path}")


if __name__ == "__main__":
    main()
