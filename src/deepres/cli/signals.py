"""deepres signals: whether forward or backward signals vanish in a network (§4.1)."""

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from deepres.cli.runs import open_run
from deepres.cli.terminal import open_data, print_table, say, show
from deepres.cli.training import execution_of
from deepres.errors import UserError
from deepres.evaluation.signals import RULE, Signals, measure_signals
from deepres.execution import Execution
from deepres.files import check_writable
from deepres.provenance import provenance
from deepres.recipes import get_recipe
from deepres.report.runs import SIGNALS
from deepres.reproduction.measure import write_measured
from deepres.run_contents import seed_of
from deepres.run_folder import RunFolder
from deepres.run_places import RUNS, place_beside
from deepres.training.data_source import make_data_source
from deepres.training.step import initial_network

COLUMNS = ["", "file", "3×3 layers", "smallest std", "largest", "smallest gradient", "largest"]


def call(options: argparse.Namespace) -> int:
    """Measure each network, write a file about it, and print a table and the verdicts."""
    if options.images is not None and options.images < 2:
        raise UserError(f"--images must be at least 2 for BN, got {options.images}")
    if options.out:
        check_writable(options.out)
    options.seed = seed_of(options.seed)
    execution = execution_of(options).alone()
    rows, verdicts = [], []
    try:
        for subject in options.subjects:
            signals, file, content = measure(subject, options, execution)
            passed = (signals.forward_std, signals.gradient_norm)
            numbers = [f"{number:.3g}" for way in passed for number in (min(way), max(way))]
            rows.append([subject, str(file), str(len(signals.layers)), *numbers])
            verdicts.append(f"{subject}: {signals.verdict}")
            write_measured(file, content, say)
    finally:  # whether it can be written or not: the numbers are what took the time
        if rows:
            print_table("", COLUMNS, rows, text_columns=2)
            show("\n".join([*verdicts, f"({RULE})"]))
    return 0


def measure(
    subject: str, options: argparse.Namespace, execution: Execution
) -> tuple[Signals, Path, dict[str, Any]]:
    """Measure one network on the first batch of its training.

    Returns:
        What was found, and a file to write with its content.
    """
    path = Path(subject)
    of_run = RunFolder(path).recipe.exists() or len(path.parts) > 1
    run = open_run(path, options.data, execution.device) if of_run else None
    recipe = run.recipe if run else get_recipe(subject)
    data = run.data if run else open_data(options.data, recipe.kind)
    if options.images:
        recipe = recipe.changed([f"batch_size={options.images}"])
    say(f"measuring {subject} on {recipe.batch_size} training images of {data.source}")
    seed = run.seed if run else options.seed
    if run:
        network, source = run.classifier.network, run.data_source(execution, recipe=recipe)
    else:
        network = initial_network(recipe, len(data.classes), seed).to(execution.device)
        source = make_data_source(data, recipe, seed, execution)
    with closing(source.batches):
        images, labels = source.batches(0)
    signals = measure_signals(network, images, labels)

    name = f"signals-{path.name}.json" if of_run else f"signals-{subject}-s{options.seed}.json"
    beside = place_beside(path, SIGNALS) if of_run else RUNS / name
    file = options.out / name if options.out else beside
    content = {
        "model": recipe.model,
        "steps": run.steps if run else 0,
        "seed": seed,
        "layers": signals.layers,
        "forward_std": signals.forward_std,
        "gradient_norm": signals.gradient_norm,
        "vanish": signals.vanish,
        "explode": signals.explode,
        "verdict": signals.verdict,
        "rule": RULE,
        "images": len(images),
        "data": f"{len(images):,} training images of {data.source}",
        "provenance": provenance(execution.device),
    }
    return signals, file, content
