"""deepres batchnorm: exact BN statistics for a finished run."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from deepres.cli import Commands
from deepres.cli.terminal import DATA_HELP, open_data, say
from deepres.data.loading import default_workers
from deepres.distributed import ALONE
from deepres.errors import UserError
from deepres.evaluation import evaluate
from deepres.models import load_model, save_weights
from deepres.progress import Progress
from deepres.provenance import provenance
from deepres.recipes import recipe_from_dict
from deepres.run_folder import RunFolder
from deepres.runtime import keep_freed_memory, make_repeatable, resolve_device
from deepres.training.batchnorm import set_exact_statistics
from deepres.training.feed import Feeding, make_feed
from deepres.training.run import check_same_data


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "batchnorm", help="replace a run's moving BN averages by exact ones over training images"
    )
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument(
        "--images",
        type=int,
        default=10_000,
        help="how many augmented training images to average over (default: %(default)s)",
    )
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--workers", type=int, help="processes that decode images (default: one a core, up to 8)"
    )
    parser.add_argument(
        "--out", type=Path, help="the new weights (default: RUN/model.batchnorm.safetensors)"
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Compute the statistics, print the error before and after, and write the new weights."""
    keep_freed_memory()
    device = resolve_device(options.device)
    make_repeatable(device)
    classifier = load_model(options.run, device)
    if not options.run.is_dir():
        raise UserError(f"{options.run} is not a run folder: its training images are not known")
    meta = RunFolder(options.run).read_meta()
    recipe = recipe_from_dict(meta["recipe"])
    steps = -(-options.images // recipe.batch_size)
    if steps < 1:
        raise UserError(f"--images must be at least 1, got {options.images}")
    recipe = recipe.extended(max(steps, recipe.steps))  # a short run may have fewer batches
    data = open_data(options.data or meta["data"]["location"], recipe.kind)
    check_same_data(RunFolder(options.run), data)
    workers = default_workers() if options.workers is None else options.workers
    feed = make_feed(
        data, recipe, Feeding(meta["seed"], device, ALONE, workers, classifier.mean.cpu())
    )

    say(f"testing with the moving averages of training on {data.source}")
    before = evaluate(classifier, feed.test).error_pct
    seen = 0  # fewer than drawn, where the recipe skips images that cannot be decoded

    def batches() -> Iterator[Tensor]:
        nonlocal seen
        for step in range(steps):
            images, labels = feed.batches(step)
            seen += len(labels)
            yield images

    with Progress("batches", steps) as bar:
        set_exact_statistics(classifier.network, batches(), bar.update)
    after = evaluate(classifier, feed.test).error_pct

    out = options.out or options.run / "model.batchnorm.safetensors"
    result = {
        "batch_norm_images": seen,
        "test_error_pct_before": before,
        "test_error_pct": after,
        "provenance": provenance(device),
    }
    save_weights(out, classifier, result)
    print(f"test error {before:.2f} % before, {after:.2f} % with BN averages over {seen:,} images")
    print(f"weights: {out}")
    return 0
