"""CIFAR-10's test, end to end: ``deepres evaluate`` against the customary script, in turns.

    python benchmarks/cifar_evaluation.py [--data data/cifar10]

The customary script is what most repositories do: PIL and torchvision transforms per image in
DataLoader workers, an eager model in the default memory format, batches of 100. Ours scores the
same images as ``deepres evaluate`` does by 1-crop views; "ours, not folded" with ``--no-fold``. All
have the same weights, whose BN statistics are drawn at random, and must find the same errors. A
turn of each side runs in a process of its own and takes the images from memory to the number of
errors, starting of workers included. With ``--threads 1`` it counts CPU time, of the DataLoader's
workers too, which then is none but the process itself.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pil_images import PilImages
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from turns import peer_versions, ratios, seconds, spread, summary, take_turns, values, write_results

from deepres.data.cifar10 import ImageSet, load_cifar10, load_sample
from deepres.data.transforms import per_pixel_mean
from deepres.evaluation.scores import class_scores
from deepres.execution import Execution, hidden
from deepres.models import Classifier, build_network
from deepres.models.fuse import fuse_for_inference
from deepres.models.stages import StagedNetwork
from deepres.provenance import provenance
from deepres.runtime import keep_freed_memory

PEER = "customary"
OURS, NOT_FOLDED = "ours", "ours, not folded"
SIDES = (OURS, NOT_FOLDED, PEER)
CPU = torch.device("cpu")
Test = Callable[[], int]
"""Returns how many images a network gets wrong."""


def make_network(name: str) -> StagedNetwork:
    """Build the network with BN statistics that fit no image in particular."""
    torch.manual_seed(0)
    network = build_network(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def customary_test(network: StagedNetwork, images: ImageSet, mean: Tensor) -> Test:
    """Return the customary script's test."""

    def test() -> int:
        normalise = transforms.Normalize(mean.flatten().tolist(), (1.0, 1.0, 1.0))
        customary = PilImages(images, transforms.Compose([transforms.ToTensor(), normalise]))
        workers = 0 if torch.get_num_threads() == 1 else 2
        loader = DataLoader(customary, batch_size=100, num_workers=workers)
        errors = 0
        with torch.no_grad():
            for batch, labels in loader:
                errors += int((network(batch).argmax(1) != labels).sum())
        return errors

    return test


def our_test(network: StagedNetwork, images: ImageSet, mean: Tensor, fold: bool) -> Test:
    """Return the test of ``deepres evaluate``."""
    keep_freed_memory()
    classifier = Classifier(network, mean, tuple("0123456789")).eval()
    classifier.to(memory_format=torch.channels_last)

    def test() -> int:
        if fold:
            fuse_for_inference(classifier.network, CPU)
        scores = class_scores(classifier, images, "1-crop", Execution(CPU, progress=hidden))
        return round(scores.error_pct() * len(images) / 100)

    return test


def measure(side: str, model: str, images: ImageSet) -> dict[str, Any]:
    """Time one side's test in this process."""
    network, mean = make_network(model), per_pixel_mean(images.images).mean((1, 2), keepdim=True)
    network(torch.zeros(2, 3, 32, 32))  # the first call of any convolution loads code
    if side == PEER:
        test = customary_test(network, images, mean)
    else:
        test = our_test(network, images, mean, fold=side == OURS)
    errors: list[int] = []
    taken = seconds(lambda: errors.append(test()), 1, CPU)
    return {"images_per_s": len(images) / taken, "errors": errors[0]}


def main() -> None:
    """Measure in turns, print a table, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data/cifar10", help="folder, or 'sample'")
    parser.add_argument("--models", nargs="+", default=["resnet20", "resnet56", "resnet110"])
    parser.add_argument("--images", type=int, default=10_000, help="how many (default: all)")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of the CPU (default: all)"
    )
    parser.add_argument("--turns", type=int, default=5, help="turns of each side")
    parser.add_argument("--out", type=Path, help="default: a file of this machine's in results/")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = load_sample() if options.data == "sample" else load_cifar10(Path(options.data))
    images = data.test.subset(slice(options.images))
    if options.side:
        print(json.dumps(measure(options.side, options.models[0], images)))
        return

    results: dict[str, Any] = {"provenance": provenance(CPU), **peer_versions()}
    results |= {"data": data.source, "images": len(images), "summary": {}, "turns": {}}
    print(f"{results['provenance']['hardware']}, torch {torch.__version__}, {len(images)} images")
    print(f"{'n=' + str(options.turns):28} {'images/s':28} times {PEER}")
    for model in options.models:
        arguments = ["--data", options.data, "--images", str(options.images)]
        arguments += ["--threads", str(options.threads), "--models", model]
        turns = take_turns(__file__, SIDES, options.turns, arguments)
        errors = {number for side in SIDES for number in values(turns, side, "errors")}
        if errors and max(errors) - min(errors) > len(images) / 1_000:  # rounding may sway a few
            raise SystemExit(f"{model}: the sides do not find the same errors: {sorted(errors)}")
        for side, found in summary(turns, [PEER]).items():
            results["summary"][f"{model}, {side}"] = found
        results["turns"][model] = turns
        for side in SIDES:
            speed, ratio = spread(values(turns, side), 0), spread(ratios(turns, side, PEER))
            print(f"{f'{model}, {side}':28} {speed:28} {ratio}")
    print(f"written to {write_results('cifar_evaluation', results, options.out)}")


if __name__ == "__main__":
    main()
