"""Training steps of §4.2's networks on CUDA: layers fused with BN against BN fused alone.

    python benchmarks/fused_cifar.py [--check] [--nets resnet20 resnet56 resnet110]
                                     [--set STAGES=1 "WARPS={16: 8, 32: 8, 64: 8}"]

Both sides take the step of ``deepres train`` in bfloat16 on the same batch, as one graph, in turns.
``--check`` adds how far a step's logits and gradients are from float64's, relative to their norm.
``--set`` tries other values of ``deepres.models.fused_cifar``'s constants.
"""

import argparse
import ast
import copy
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepres.models import build_network, fused_cifar
from deepres.models.batch_norm import fuse_batch_norm
from deepres.models.fused_cifar import FusedCifarNet
from deepres.recipes.cifar10 import section_4_2
from deepres.runtime import make_repeatable
from deepres.training.cuda_graph import GraphedStep
from deepres.training.mixed_precision import InBf16
from deepres.training.optim import make_optimizer
from deepres.training.step import classifier_step

UNTIL_S = 30.0
"""When no further network is begun."""


def bn_alone(network: nn.Module) -> nn.Module:
    """As ``deepres train`` has it."""
    fuse_batch_norm(network)
    return InBf16(network)


SIDES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "BN fused": bn_alone,
    "layers fused": FusedCifarNet,
}


def graphed_step(
    how: Callable[[nn.Module], nn.Module], network: nn.Module
) -> Callable[..., Tensor]:
    """A training step of a copy of ``network`` as one graph."""
    network = copy.deepcopy(network)
    optimizer = make_optimizer(network, section_4_2("resnet20"))
    computing = how(network)
    momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
    return GraphedStep(
        lambda x, y: classifier_step(computing, optimizer, x, y),
        [*network.state_dict().values(), *momenta],
    )


def milliseconds(step: Callable[..., Tensor], batch: tuple[Tensor, Tensor], steps: int) -> float:
    """How long a step takes on the device."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(steps):
        step(*batch)
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / steps


def outcome(network: nn.Module, computing: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """Logits, and all gradients as one vector."""
    network.zero_grad()
    logits = computing(x)
    F.cross_entropy(logits.double(), y).backward()
    gradients = [p.grad.flatten().double() for p in network.parameters() if p.grad is not None]
    return [logits.detach().double(), torch.cat(gradients)]


def errors(network: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    """Print each side's distance from float64."""
    x, y = batch
    exact_network = copy.deepcopy(network).double()
    exact = outcome(exact_network, exact_network, x.double(), y)
    for side, how in SIDES.items():
        own = copy.deepcopy(network)
        found = outcome(own, how(own), x, y)
        logits, gradients = (
            float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True)
        )
        print(f"{'':10} {side:14} logits {logits:.5f}  gradients {gradients:.5f}")


def main() -> None:
    """Time both sides, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=["resnet20", "resnet56", "resnet110"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=200, help="a turn")
    parser.add_argument("--turns", type=int, default=5, help="of each side")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE")
    parser.add_argument("--check", action="store_true", help="compare with float64, too")
    options = parser.parse_args()
    for setting in options.set:
        constant, value = setting.split("=", 1)
        setattr(fused_cifar, constant, ast.literal_eval(value))
    began = time.monotonic()
    device = torch.device("cuda")
    make_repeatable(device)
    torch.manual_seed(0)
    batch = (
        torch.randn(options.batch, 3, 32, 32, device=device),
        torch.randint(10, (options.batch,), device=device),
    )
    for name in options.nets:
        if time.monotonic() - began > UNTIL_S:
            print(f"{name:10} left out: it is late")
            continue
        network = build_network(name).to(device).to(memory_format=torch.channels_last)
        steps = {side: graphed_step(how, network) for side, how in SIDES.items()}
        taken: dict[str, list[float]] = {side: [] for side in SIDES}
        for turn in range(options.turns + 1):
            for side, step in steps.items():
                time_of_one = milliseconds(step, batch, options.steps if turn else 20)
                if turn:
                    taken[side].append(time_of_one)
        for side, times in taken.items():
            middle = statistics.median(times)
            ratio = statistics.median(taken["BN fused"]) / middle
            spread = f"{min(times):.3f}–{max(times):.3f}"
            print(
                f"{name:10} {side:14} {middle:.3f} ms a step ({spread})  ×{ratio:.2f}", flush=True
            )
        if options.check:
            errors(network, batch)


if __name__ == "__main__":
    main()
