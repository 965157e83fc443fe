"""Keep the small outcome of finished runs under results/.

    python tools/keep_result.py RUN... [--data data/cifar10]

Of each classifier its recipe, thinned metrics, result, side files, how it ranked the true class of
each test image and, if they are small, its weights in half precision, tested.
"""

import argparse
import json
from pathlib import Path

import torch

from deepres.cli.terminal import open_data
from deepres.data.views import VIEWS
from deepres.evaluation import evaluate
from deepres.files import read_json, write_json
from deepres.models import load_model
from deepres.models.weights import read_weights, write_weights
from deepres.report.predictions import answers
from deepres.report.ranks import save_ranks
from deepres.run_folder import EVALUATIONS, Event, RunFolder

RESULTS = Path(__file__).parent.parent / "results"
LARGEST_WEIGHTS = 8_000_000
"""Bytes; larger nets are kept without weights."""
TRAIN_EVENTS = 320
SIDE_FILES = (EVALUATIONS, "responses.json", "signals.json")


def keep(run: Path, where: str | None) -> None:
    """Copy what is worth keeping of ``run``; its data are ``where``, or where they were."""
    source, target = RunFolder(run), RunFolder(RESULTS / run.name)
    target.path.mkdir(parents=True)
    meta, result = source.read_meta(), source.read_result()
    assert result is not None
    location = where or meta["data"]["location"]
    meta["data"]["location"] = None  # on another machine data lie elsewhere
    target.write_meta(meta)
    for event in thinned(source.read_events()):
        target.append_event(event)
    for name in SIDE_FILES:
        if (run / name).exists():
            write_json(target.path / name, read_json(run / name))
    half_weights(source.weights, target.weights)
    for views in VIEWS:
        for ranks in answers(run, views):
            save_ranks(target.path, views, ranks)
    if target.weights.stat().st_size > LARGEST_WEIGHTS:
        target.weights.unlink()
    else:
        data = open_data(location, meta["recipe"]["kind"])
        scores = evaluate(load_model(target.path), data)
        result["half_precision_test_error_pct"] = scores.error_pct()
    target.write_result(result)
    print(json.dumps(result, indent=2))


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
