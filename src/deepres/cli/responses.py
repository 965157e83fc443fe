"""deepres responses: how strongly the layers of trained networks respond (Figure 7)."""

import argparse
from statistics import mean

from deepres.cli.runs import open_run
from deepres.cli.terminal import print_table, say
from deepres.cli.training import execution_of
from deepres.errors import UserError
from deepres.report.runs import RESPONSES
from deepres.reproduction.measure import measure_responses, note_responses
from deepres.run_places import place_beside

COLUMNS = ["std of responses", "3×3 layers", "first", "last", "mean", "smallest", "largest"]


def call(options: argparse.Namespace) -> int:
    """Measure each run, write a file beside it, and print a table."""
    if options.images < 1:
        raise UserError(f"--images must be at least 1, got {options.images}")
    execution = execution_of(options).alone()
    rows = []
    try:
        for path in options.runs:
            run = open_run(path, options.data, execution.device)
            say(f"measuring {path} on test images of {run.data.source}")
            found = measure_responses(run, execution, images=options.images)
            std = found.std
            numbers = (std[0], std[-1], mean(std), min(std), max(std))
            cells = [str(len(std)), *(f"{number:.3f}" for number in numbers)]
            file = place_beside(path, RESPONSES)
            rows.append([str(file), *cells])
            note_responses(file, run, found, execution.device, say)
    finally:  # whether it can be written or not: the numbers are what took the time
        if rows:
            print_table("", COLUMNS, rows)
    return 0
