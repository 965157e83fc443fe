"""Keep the small outcome of finished runs under results/.

    python tools/keep_result.py RUN... [--data data/cifar10]

Of each its recipe, thinned metrics, result and side files; of classifiers how it ranked the true
class of each test image, too, and, if they are small, its weights in half precision, tested.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from deepres.cli.terminal import open_data
from deepres.data.views import VIEWS
from deepres.errors import UserError
from deepres.evaluation import evaluate
from deepres.evaluation.evaluation_log import noted_tests
from deepres.files import read_json, write_json
from deepres.kinds import kind_of
from deepres.models import load_classifier
from deepres.models.weights import read_weights, write_weights
from deepres.report.predictions import answers
from deepres.report.ranks import save_ranks
from deepres.run_contents import SIDE_FILES as STUDIES
from deepres.run_contents import tested_on
from deepres.run_folder import EVALUATIONS, Event, RunFolder
from deepres.training.begun_from import without_folders

RESULTS = Path(__file__).parent.parent / "results"
LARGEST_WEIGHTS = 8_000_000
"""Bytes; larger nets are kept without weights."""
TRAIN_EVENTS = 320


def keep(run: Path, where: str | None) -> None:
    """Copy what is worth keeping of ``run``; its data are ``where``, or where they were.

    Raises:
        UserError: it is not finished, or one of its name is kept already.
    """
    source, kept = RunFolder(run), RESULTS / run.name
    if source.read_result() is None:
        raise UserError(f"{run} is not finished")
    if kept.exists():
        raise UserError(f"{kept} is there already")
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as beside:
        target = RunFolder(Path(beside) / run.name)
        target.path.mkdir()
        result = copy(source, target, where)
        target.path.rename(kept)
    print(json.dumps(result, indent=2))


def copy(source: RunFolder, target: RunFolder, where: str | None) -> dict[str, Any]:
    """Copy what is worth keeping into an empty folder, and return the content of result.json."""
    meta, result = source.read_meta(), source.read_result()
    assert result is not None
    location = where or meta["data"]["location"]
    target.write_meta(without_places(meta))
    for event in thinned(source.read_events()):
        target.append_event(event)
    for name in STUDIES:
        if (source.path / name).exists():
            write_json(target.path / name, read_json(source.path / name))
    if tests := noted_tests(source.path):
        places = [{"data": tested_on(each["data"])} if "data" in each else {} for each in tests]
        write_json(target.path / EVALUATIONS, [a | b for a, b in zip(tests, places, strict=True)])
    if kind_of(meta["recipe"]).is_classifier:
        for views in VIEWS:
            for ranks in answers(source.path, views):
                save_ranks(target.path, views, ranks)
        half_weights(source.weights, target.weights)
        if target.weights.stat().st_size > LARGEST_WEIGHTS:
            target.weights.unlink()
        else:
            scores = evaluate(
                load_classifier(target.path), open_data(location, meta["recipe"]["kind"])
            )
            result["half_precision_test_error_pct"] = scores.error_pct()
    target.write_result(without_folders(result))
    return result


def without_places(meta: dict[str, Any]) -> dict[str, Any]:
    """Return what recipe.json says, but for where things lay: elsewhere they lie elsewhere."""
    parts = [part for part in ("data", "test_data") if meta.get(part)]
    return {**without_folders(meta), **{part: {**meta[part], "location": None} for part in parts}}


def thinned(events: list[Event]) -> list[Event]:
    """Return all tests and validations, and evenly spread windows of training, the last too."""
    windows = [event for event in events if event["split"] == "train"]
    every = -(-len(windows) // TRAIN_EVENTS)
    kept = {event["step"] for event in windows[::-1][::every]}
    return [event for event in events if event["split"] != "train" or event["step"] in kept]


def half_weights(source: Path, target: Path) -> None:
    """Write the weights in float16; BN statistics and the input's mean stay as they are."""
    tensors, described = read_weights(source)
    for name, tensor in tensors.items():
        exact = name.startswith("input_") or "running" in name
        if tensor.dtype == torch.float32 and not exact:
            tensors[name] = tensor.half()
    write_weights(target, tensors, described)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--data", help="folder of the data, if it is not where it was")
    options = parser.parse_args()
    for path in options.runs:
        keep(path, options.data)
