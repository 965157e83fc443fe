"""deepres responses: how strongly the layers of trained networks respond (Figure 7)."""

import argparse
from pathlib import Path
from statistics import mean

from deepres.cli import Commands
from deepres.cli.runs import open_run, with_few_test_images
from deepres.cli.terminal import DATA_HELP, print_table, say
from deepres.distributed import ALONE
from deepres.errors import UserError
from deepres.evaluation.responses import layer_responses
from deepres.files import write_json
from deepres.progress import Progress
from deepres.provenance import provenance
from deepres.report.runs import RESPONSES
from deepres.runtime import keep_freed_memory, make_repeatable, resolve_device
from deepres.training.feed import make_feed

BATCH = 50  # every layer's responses to it are in memory at once


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "responses", help="measure how strongly each 3×3 layer of a run responds (Figure 7)"
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folders of finished runs"
    )
    parser.add_argument(
        "--images",
        type=int,
        default=1_000,
        help="how many test images to measure on (default: %(default)s)",
    )
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--workers", type=int, help="processes that decode images (default: one a core, up to 8)"
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Measure each run, write responses.json into its folder, and print a table."""
    if options.images < 1:
        raise UserError(f"--images must be at least 1, got {options.images}")
    keep_freed_memory()
    device = resolve_device(options.device)
    make_repeatable(device)
    rows = []
    for path in options.runs:
        run = open_run(path, options.data, device)
        data = with_few_test_images(run.data, options.images)
        source = f"{len(data.test):,} test images of {data.source}"
        say(f"measuring {path} on {source}")
        feed = make_feed(data, run.recipe, run.feeding(device, options.workers))
        batches = (images for images, _ in feed.test.batches(BATCH, ALONE))
        with Progress(run.recipe.model, len(data.test)) as bar:
            found = layer_responses(run.classifier, batches, bar.update)
        file = path / RESPONSES
        write_json(
            file,
            {
                "model": run.recipe.model,
                "steps": run.recipe.steps,
                "seed": run.seed,
                "layers": found.layers,
                "std": found.std,
                "images": found.images,
                "data": source,
                "provenance": provenance(device),
            },
        )
        std = found.std
        numbers = (std[0], std[-1], mean(std), min(std), max(std))
        rows.append([str(file), str(len(std)), *(f"{number:.3f}" for number in numbers)])
    columns = ["std of responses", "3×3 layers", "first", "last", "mean", "smallest", "largest"]
    print_table("", columns, rows)
    return 0
