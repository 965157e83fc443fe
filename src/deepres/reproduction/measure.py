"""What is measured of a finished run and kept beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.distributed import ALONE, World
from deepres.evaluation.protocol import score_weights
from deepres.evaluation.responses import Responses, layer_responses
from deepres.evaluation.score_files import evaluation_entry
from deepres.evaluation.scores import Scores, average
from deepres.files import write_json
from deepres.models import load_model
from deepres.progress import Progress
from deepres.provenance import provenance
from deepres.report.runs import RESPONSES
from deepres.training.data_source import make_data_source
from deepres.training.trained_run import TrainedRun, with_few_test_images

RESPONSE_IMAGES = 1_000
BATCH = 50  # every layer's responses to it are in memory at once


def measure_responses(
    run: TrainedRun,
    device: torch.device,
    *,
    images: int = RESPONSE_IMAGES,
    workers: int | None = None,
    progress: Callable[[str, int], Progress] = Progress,
) -> Responses:
    """Measure how strongly a run's layers respond.

    Args:
        run: it is not changed.
        device: where its weights are.
        images: how many test images to measure on.
        workers: how many processes decode image files; by default one a core, up to 8.
        progress: makes the bar for a label and the number of images.
    """
    data = with_few_test_images(run.data, images)
    source = make_data_source(data, run.recipe, run.feeding(device, workers))
    batches = (batch for batch, _ in source.test.batches(BATCH, ALONE))
    with progress(run.recipe.model, len(data.test)) as bar:
        return layer_responses(run.classifier, batches, bar.update)


def note_responses(run: TrainedRun, found: Responses, device: torch.device) -> None:
    """Write what was ``found`` of a run on ``device`` into its responses.json."""
    write_json(
        run.path / RESPONSES,
        {
            "model": run.recipe.model,
            "steps": run.recipe.steps,
            "seed": run.seed,
            "layers": found.layers,
            "std": found.std,
            "images": found.images,
            "data": f"{found.images:,} test images of {run.data.source}",
            "provenance": provenance(device),
        },
    )


def score_run(
    run: Path,
    data: Cifar10 | ImageFolder,
    views: str,
    device: torch.device,
    world: World,
    workers: int | None,
    say: Callable[[str], None],
) -> Scores:
    """Test the run in the folder ``run`` by ``views``, unless that has been done."""
    return score_weights(
        run,
        load_model(run, device),
        data.test,
        views,
        source=data.source,
        device=device,
        world=world,
        workers=workers,
        say=say,
        progress=hidden,
    )


def measure_ensemble(
    runs: Sequence[Path], data: Cifar10 | ImageFolder, views: str, device: torch.device
) -> dict[str, Any]:
    """Return the errors of an ensemble of ``runs``, as in evaluations.json, with its ``members``.

    Their scores are those that were kept when each was tested.
    """
    scores = average(
        [score_run(run, data, views, device, ALONE, None, lambda line: None) for run in runs]
    )
    return {
        **evaluation_entry(views, data.source, scores, provenance(device)),
        "members": [run.name for run in runs],
    }


def hidden(label: str, total: int) -> Progress:
    """Make a bar that does not show, where another does."""
    return Progress(label, total, shown=False)
