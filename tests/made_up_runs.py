"""Run folders with made-up numbers, for tests of reports."""

import json
import math
from pathlib import Path
from typing import Any

from deepres.recipes import get_recipe
from deepres.report.runs import Run, read_run
from deepres.run_folder import RunFolder

PROVENANCE = {
    **{"deepres": "0.1.0", "commit": "abc123", "python": "3.11.7", "torch": "2.15.0"},
    **{"platform": "Linux", "device": "cpu", "hardware": "AMD EPYC, 2 threads", "processes": 1},
}
SAMPLE = "the embedded sample of CIFAR-10"


def make_run(
    folder: Path,
    model: str = "resnet20",
    seed: int = 0,
    *,
    test_error_pct: float = 8.0,
    train_error_pct: float = 1.0,
    steps: int | None = None,
    stopped_at: int | None = None,
    source: str | None = None,
    fingerprint: str | None = None,
    departures: dict[str, Any] | None = None,
    **side_files: Any,
) -> Run:
    """Make the folder of a run that sinks from 90 % to its final errors, and read it.

    Args:
        folder: which to make.
        model: its network.
        seed: its seed.
        test_error_pct: where the test error ends.
        train_error_pct: where the training error ends.
        steps: its length, if shortened; None: the paper's.
        stopped_at: the last step logged, if it is not finished.
        source: the name of its data; None: the paper's.
        fingerprint: of its data; None: the same for all data of that name.
        departures: fields of the recipe that are not the paper's.
        side_files: the contents of further JSON files beside it.
    """
    papers = get_recipe(model)
    length, wobble = steps or papers.steps, 1 + seed / 4
    recipe = (papers.shortened(steps) if steps else papers).to_dict() | (departures or {})
    source = source or ("CIFAR-10" if papers.kind == "cifar10" else "imagenet (1000 classes)")
    meta = {
        **{"recipe": recipe, "departures": departures or {}, "seed": seed},
        "data": {"source": source, "location": "data", "fingerprint": fingerprint or source},
        "provenance": PROVENANCE,
    }
    run = RunFolder(folder)
    run.write_meta(meta)
    events = []
    for i in range(1, 41):
        step = length * i // 40
        if step > (length if stopped_at is None else stopped_at):
            break
        fallen = 1 - math.exp(-i / 5 * wobble) * (1 - i / 40)
        for split, last in (("train", train_error_pct), ("test", test_error_pct)):
            error = 90 - fallen * (90 - last)
            events.append({"step": step, "split": split, "loss": error / 40, "error_pct": error})
    run.metrics.write_text("".join(json.dumps(event) + "\n" for event in events))
    if stopped_at is None:
        result = {
            **{"model": model, "steps": length, "seed": seed, "training_s": 12.5 + seed},
            **{"test_error_pct": test_error_pct, "train_error_pct": train_error_pct},
            **{"provenance": PROVENANCE, "resumed": []},
        }
        run.result.write_text(json.dumps(result))
    for name, content in side_files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return read_run(folder)
