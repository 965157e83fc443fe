"""What is measured of a finished run and kept beside it."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder
from deepres.distributed import ALONE
from deepres.errors import UserError
from deepres.evaluation.protocol import EvaluatedImages, note_ensemble, score_weights
from deepres.evaluation.responses import Responses, layer_responses
from deepres.evaluation.scores import average
from deepres.evaluation.under_test import UnderTest
from deepres.execution import Execution, say_nothing
from deepres.files import read_json, write_json
from deepres.json_shape import COUNT, misfit
from deepres.models import load_classifier
from deepres.provenance import provenance
from deepres.report.runs import RESPONSE_IMAGES
from deepres.run_contents import checked
from deepres.training.trained_run import TrainedRun, with_few_test_images

Say = Callable[[str], None]
"""Receives a line for people."""
ONE_NETWORK = ("model", "steps", "seed")
"""What two files say that is the same if they are of one network."""
MEASURED = {"images": COUNT, "data": str}
BATCH = 50  # every layer's responses to it are in memory at once


def measure_responses(
    run: TrainedRun, execution: Execution, *, images: int = RESPONSE_IMAGES
) -> Responses:
    """Measure how strongly a run's layers respond.

    Args:
        run: it is not changed.
        execution: where its weights are.
        images: how many test images to measure on.
    """
    data = with_few_test_images(run.data, images)
    source = run.data_source(execution, data=data)
    batches = (batch for batch, _ in source.test.batches(BATCH, ALONE))
    with execution.progress(run.recipe.model, len(data.test)) as bar:
        return layer_responses(run.classifier, batches, bar.update)


def note_responses(
    file: Path, run: TrainedRun, found: Responses, device: torch.device, say: Say
) -> None:
    """Write what was ``found`` of a run on ``device``, as ``write_measured`` does."""
    write_measured(
        file,
        {
            "model": run.recipe.model,
            "steps": run.steps,
            "seed": run.seed,
            "layers": found.layers,
            "std": found.std,
            "images": found.images,
            "data": f"{found.images:,} test images of {run.data.source}",
            "provenance": provenance(device),
        },
        say,
    )


def write_measured(file: Path, content: dict[str, Any], say: Say) -> None:
    """Write what was measured of a network, unless there is the same of more images: then say so.

    Args:
        file: where.
        content: with ``images``, ``data``, which are these in words, and ``ONE_NETWORK``.
        say: receives a line.
    """
    there: dict[str, Any] = {}
    with suppress(UserError):  # there is none, or it is damaged
        there = checked(file, read_json(file), partial(misfit, shape=MEASURED))
    alike = all(there.get(key) == content[key] for key in ONE_NETWORK)
    if alike and there["images"] > content["images"]:
        say(
            f"{file} stays as it is: it is of {there['data']}, more than these; to have these, "
            "move it away"
        )
    else:
        write_json(file, content)


def score_run(run: Path, data: Cifar10 | ImageFolder, views: str, execution: Execution) -> None:
    """Test the run in the folder ``run`` by ``views``, unless that has been done."""
    tested = UnderTest.open(run, load_classifier, execution.device)
    score_weights(tested, EvaluatedImages(data.test, data.source), views, execution.quietly())


def measure_ensemble(
    runs: Sequence[Path], data: Cifar10 | ImageFolder, views: str, execution: Execution
) -> None:
    """Note the errors of an ensemble of ``runs`` beside the first one.

    Their scores are those that were kept when each was tested.
    """
    silent = dataclasses.replace(execution.alone().quietly(), say=say_nothing)
    images = EvaluatedImages(data.test, data.source)
    tested = [UnderTest.open(run, load_classifier, execution.device) for run in runs]
    scores = average([score_weights(each, images, views, silent) for each in tested])
    note_ensemble(tested, images, views, scores, execution)
