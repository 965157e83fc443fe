"""The stem's convolution in bf16, its 3 input channels as they are or padded with zeros, in turns.

    python benchmarks/stem_channels.py [--device cuda]

Tensor cores take 8 channels at a time. What a padded input gains in the convolution and in the
gradient of its weights must outweigh the padding, which is timed with it.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from deepres.models import build_network
from deepres.provenance import provenance
from deepres.runtime import make_repeatable, resolve_device
from deepres.speed.machine import seconds

STEMS = {"resnet20": (128, 32), "resnet50": (256, 224)}
"""Images a batch and their side."""
CHANNELS = (3, 4, 8)


def stem_step(model: str, channels: int, batch: int, device: torch.device) -> Callable[[], object]:
    """The stem's part of a training step: its output, and the gradient of its weights."""
    convolution = build_network(model).get_submodule("conv1").to(device)
    weight, stride, padding = (
        getattr(convolution, name) for name in ("weight", "stride", "padding")
    )
    side = STEMS[model][1]
    images = torch.randn(batch, 3, side, side, device=device)
    images = images.contiguous(memory_format=torch.channels_last)

    def padded(x: Tensor) -> Tensor:
        x = x.to(torch.bfloat16, memory_format=torch.channels_last)
        return F.pad(x, (0, 0, 0, 0, 0, channels - 3)) if channels > 3 else x

    out = F.conv2d(padded(images), padded(weight), None, stride, padding)
    gradient = torch.randn_like(out)

    def step() -> None:
        weight.grad = None
        F.conv2d(padded(images), padded(weight), None, stride, padding).backward(gradient)

    return step


def main() -> None:
    """Time each stem with each number of channels, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, help="images a batch (default: the paper's)")
    parser.add_argument("--calls", type=int, default=50, help="steps a turn")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    device = resolve_device(options.device)
    make_repeatable(device)
    print(f"stems in bf16, {provenance(device)['hardware']}, torch {torch.__version__}, ms a step")
    for model, (batch, _) in STEMS.items():
        steps = {c: stem_step(model, c, options.batch or batch, device) for c in CHANNELS}
        for step in steps.values():
            seconds(step, 2, device)
        for _ in range(options.turns):
            times = {c: seconds(step, options.calls, device) for c, step in steps.items()}
            line = (f"{c}: {1e3 * s / options.calls:.3f}" for c, s in times.items())
            print(f"{model:10} {'   '.join(line)}")


if __name__ == "__main__":
    main()
