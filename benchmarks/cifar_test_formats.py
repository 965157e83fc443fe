"""A test of CIFAR-10 during training, the network's memory laid out in two ways, in turns.

    python benchmarks/cifar_test_formats.py [--device cuda] [--models resnet20 resnet56]

Tests are in float32 without TF32, where cuDNN may have fast kernels for one layout alone. What a
test takes beyond its kernels' own time is the host's, or the allocator's: both are printed, and how
often it asked the driver for memory.
"""

import argparse
import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from turns import spread, write_results

from deepres.data.cifar10 import ImageSet, load_cifar10, load_sample
from deepres.data.transforms import per_pixel_mean, prepare
from deepres.evaluation.metrics import validate
from deepres.models.create import build_network
from deepres.models.fold import fold_batch_norm
from deepres.models.stages import StagedNetwork
from deepres.provenance import provenance
from deepres.runtime import make_repeatable, resolve_device
from deepres.speed.machine import seconds
from deepres.speed.profile import Cost, profile
from deepres.training.data_source import TEST_BATCH, TEST_BATCH_ON_CUDA

LAYOUTS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}


class Test:
    """The test of one network in one layout, as ``deepres train`` does it on its way."""

    def __init__(
        self, network: StagedNetwork, images: ImageSet, mean: Tensor, layout: str, folded: bool
    ) -> None:
        self.network = copy.deepcopy(network)
        if folded:
            fold_batch_norm(self.network)
        self.format = LAYOUTS[layout]
        self.network.to(memory_format=self.format)
        self.images, self.mean = images, mean
        self.batch = TEST_BATCH_ON_CUDA if mean.device.type == "cuda" else TEST_BATCH

    def predict(self, images: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) uint8 to logits (N, 10)."""
        x = prepare(images, self.mean, torch.ones_like(self.mean))
        logits: Tensor = self.network(x.contiguous(memory_format=self.format))
        return logits

    def __call__(self) -> int:
        """Return how many images the network gets wrong."""
        return validate(self.predict, self.images, batch_size=self.batch).errors


def make_tests(model: str, images: ImageSet, mean: Tensor) -> dict[str, Test]:
    """Return a test of each layout, with BN as a layer and folded into the convolutions."""
    network = build_network(model).eval().to(mean.device)
    return {
        f"{model}, {layout}{', folded' if folded else ''}": Test(
            network, images, mean, layout, folded
        )
        for folded in (False, True)
        for layout in LAYOUTS
    }


def measure(tests: dict[str, Test], turns: int, device: torch.device) -> dict[str, dict[str, Any]]:
    """Time the tests in turns, after a first call that chooses kernels and allocates."""
    found: dict[str, dict[str, Any]] = {}
    for name, test in tests.items():
        found[name] = {"errors": test(), "ms": [], "asked_for_memory": 0}
    for _ in range(turns):
        for name, test in tests.items():
            before = allocations(device)
            found[name]["ms"].append(1e3 * seconds(test, 1, device))
            found[name]["asked_for_memory"] += allocations(device) - before
    return found


def allocations(device: torch.device) -> int:
    """Return how often PyTorch has asked the driver for memory so far."""
    if device.type != "cuda":
        return 0
    return int(torch.cuda.memory_stats(device)["num_device_alloc"])


def kernels_of(test: Test, device: torch.device) -> list[Cost]:
    """Return what the costliest kernels of a test take."""
    with tempfile.TemporaryDirectory() as scratch:
        return profile(test, device, Path(scratch) / "trace.json")


def main() -> None:
    """Measure, print a table, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="sample", help="folder, or 'sample' (default)")
    parser.add_argument("--models", nargs="+", default=["resnet20"])
    parser.add_argument("--images", type=int, default=10_000, help="taken again as often as needed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, help="default: a file of this machine's in results/")
    options = parser.parse_args()
    device = resolve_device(options.device)
    make_repeatable(device)
    data = load_sample() if options.data == "sample" else load_cifar10(options.data)
    places = torch.arange(options.images) % len(data.test)
    images = ImageSet(data.test.images[places], data.test.labels[places]).to(device)
    mean = per_pixel_mean(data.train.images).to(device)
    results: dict[str, Any] = {"provenance": provenance(device), "images": len(images), "tests": {}}
    hardware = results["provenance"]["hardware"]
    print(f"{hardware}, torch {torch.__version__}, {len(images):,} images, ms a test")
    for model in options.models:
        tests = make_tests(model, images, mean)
        for name, found in measure(tests, options.turns, device).items():
            costs = kernels_of(tests[name], device)
            found["kernels_ms"] = 1e3 * costs[0].seconds / costs[0].share
            found["costliest"] = {cost.name: cost.share for cost in costs[:3]}
            results["tests"][name] = found
            print(f"{name:34} {spread(found['ms'], 1):28} kernels alone ", end="")
            print(f"{found['kernels_ms']:.1f}; asked for memory {found['asked_for_memory']} times")
            for cost in costs[:3]:
                print(
                    f"    {cost.share:4.0%} {cost.calls:5.0f} times  {cost.name[:80]}", flush=True
                )
    print(f"written to {write_results('cifar_test_formats', results, options.out)}")


if __name__ == "__main__":
    main()
