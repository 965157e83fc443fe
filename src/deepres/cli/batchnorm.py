"""deepres batchnorm: exact BN statistics for a finished run."""

import argparse
from collections.abc import Iterator
from contextlib import closing, nullcontext

from torch import Tensor

from deepres.cli.runs import open_run
from deepres.cli.terminal import say, show
from deepres.cli.training import execution_of
from deepres.errors import UserError
from deepres.evaluation.metrics import validate
from deepres.evaluation.under_test import UnderTest, hold
from deepres.files import check_ours, check_places
from deepres.models import save_weights
from deepres.pretrained import find_weights
from deepres.provenance import provenance
from deepres.run_folder import EXACT_BN, RunFolder
from deepres.run_places import place_beside
from deepres.training.batch_norm_statistics import learning_batch_norm, set_exact_statistics
from deepres.training.given_weights import frozen_modules


def call(options: argparse.Namespace) -> int:
    """Compute the statistics, print the error before and after, and write the new weights."""
    if options.images < 1:
        raise UserError(f"--images must be at least 1, got {options.images}")
    check_places(options.out)
    path = find_weights(options.run, say=say)
    folder = RunFolder(path)
    out = options.out or place_beside(path, EXACT_BN)
    if not options.out:
        check_ours(out)
    if out.resolve() == folder.weights.resolve():
        raise UserError(f"{out} would replace the run's own weights; choose another by --out")
    execution = execution_of(options).alone()
    tested = UnderTest.open(
        path, lambda path, device: open_run(path, options.data, device), execution.device
    )
    run = tested.network
    classifier, recipe, data = run.classifier, run.recipe, run.data
    frozen = frozen_modules(classifier.network, recipe.freeze)
    if not learning_batch_norm(classifier.network, frozen):
        raise UserError(
            f"{path} has no BN that learned (freeze={recipe.freeze}): all its statistics are those "
            "of the weights that it began from, and stay"
        )
    steps = -(-options.images // recipe.batch_size)
    recipe = recipe.extended(max(steps, recipe.steps))  # a short run may have fewer batches
    source, parts = run.data_source(execution, recipe=recipe), run.batch_norm_parts

    say(f"testing with the moving averages of training on {data.source}")
    before = validate(classifier, source.test).error_pct
    seen = 0  # fewer than drawn, where the recipe skips images that cannot be decoded

    def batches() -> Iterator[Tensor]:
        nonlocal seen
        for step in range(steps):
            images, labels = source.batches(step)
            seen += len(labels)
            yield from images.chunk(parts)

    with execution.progress("batches", steps * parts) as bar, closing(source.batches):
        set_exact_statistics(classifier.network, batches(), bar.update, frozen)
    after = validate(classifier, source.test)
    result = run.notes | {
        "test_error_pct": after.error_pct,
        "test_top5_error_pct": after.top5_error_pct,
        "test_loss": after.loss,
        "batch_norm": {
            "images": seen,
            "test_error_pct_before": before,
            "provenance": provenance(execution.device),
        },
    }
    try:
        with nullcontext(True) if options.out else hold([tested], say) as kept:
            if kept:
                save_weights(out, classifier, result)
    finally:
        show(
            f"test error {before:.2f} % before, {after.error_pct:.2f} % with BN averages over "
            f"{seen:,} images"
        )
    if kept:
        show(f"weights: {out}")
    return 0
