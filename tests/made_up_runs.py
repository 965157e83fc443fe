"""Run folders with made-up numbers, for tests of reports."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepres.recipes import (
    detection_recipe,
    fine_tuned,
    get_recipe,
    localization_rcnn_recipe,
    localization_recipe,
)
from deepres.recipes.schema import Recipe
from deepres.report.papers_runs import PAPERS_DATA, TRAINING_IMAGES
from deepres.report.published_detection import TABLE_7, TABLE_8
from deepres.report.read_runs import read_run
from deepres.report.runs import Run
from deepres.run_folder import RunFolder

PROVENANCE = {
    **{"deepres": "0.1.0", "commit": "abc123", "python": "3.11.7", "torch": "2.15.0"},
    **{"platform": "Linux", "device": "cpu", "hardware": "AMD EPYC, 2 threads", "processes": 1},
}
SAMPLE = "the embedded sample of CIFAR-10"


def whole_meta(recipe: Recipe | dict[str, Any], **more: Any) -> dict[str, Any]:
    """What recipe.json holds of a run of ``recipe``, and ``more``."""
    fields = recipe if isinstance(recipe, dict) else recipe.to_dict()
    meta = {
        **{"recipe": fields, "deviations": {}, "seed": 0, "provenance": PROVENANCE},
        "data": {"source": "CIFAR-10", "location": "data", "fingerprint": "CIFAR-10"},
    }
    return json.loads(json.dumps(meta | more))


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
    test_fingerprint: str | None = None,
    deviations: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
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
        test_fingerprint: of its test images; None: an older version made it.
        deviations: fields of the recipe that are not the paper's.
        provenance: what differs from the usual one.
        side_files: the contents of further JSON files beside it.
    """
    papers = get_recipe(model)
    length, wobble = steps or papers.steps, 1 + seed / 4
    recipe = (papers.scaled_to(steps) if steps else papers).to_dict() | (deviations or {})
    source = source or PAPERS_DATA[papers.kind]
    data = {"source": source, "location": "data", "fingerprint": fingerprint or source}
    data |= {"test_fingerprint": test_fingerprint} if test_fingerprint else {}
    meta = whole_meta(recipe, deviations=deviations or {}, seed=seed, data=data)
    meta["provenance"] = PROVENANCE | (provenance or {})
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
            **{"provenance": meta["provenance"], "resumed": []},
        }
        run.result.write_text(json.dumps(result))
    for name, content in side_files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return read_run(folder)


def make_fine_tuned_run(folder: Path, seed: int = 0, begun_from: str = "0a" * 32) -> Run:
    """Make the folder of a run that fine-tunes weights with this SHA-256, and has just begun."""
    recipe = fine_tuned("resnet20", files=True).scaled_to(500)
    given = {"file": "weights.safetensors", "sha256": begun_from, "new": ["fc"]}
    meta = {"deviations": recipe.deviations(), "seed": seed, "initial_weights": given}
    run = RunFolder(folder)
    run.write_meta(whole_meta(recipe, **meta))
    return read_run(folder)


def make_detection_run(
    folder: Path,
    model: str = "resnet101",
    dataset: str = "voc07+12",
    seed: int = 0,
    *,
    map_50_pct: float = 75.0,
    map_pct: float | None = None,
    steps: int | None = None,
    stopped_at: int | None = None,
    source: str | None = None,
    images: int | None = None,
    pretrained_on: int | None = 1_000,
    begun_from: str = "classifier",
    options: dict[str, str] | None = None,
    digest: str = "0a" * 32,
    settings: tuple[str, ...] = (),
    tests: tuple[dict[str, Any], ...] = ({},),
    test_data: dict[str, Any] | None = None,
    **side_files: Any,
) -> Run:
    """Make the folder of a detector's run, whose precision rises to its final one, and read it.

    Args:
        folder: which to make.
        model: the network it is built on.
        dataset: its recipe's.
        seed: its seed.
        map_50_pct: where its precision ends.
        map_pct: the same by COCO's measure.
        steps: its length, if shortened; None: the paper's.
        stopped_at: the last step logged, if it is not finished.
        source: the name of its data; None: the paper's.
        images: how many; None: as the paper.
        pretrained_on: how many classes; None: it starts from random weights.
        begun_from: what these weights are of.
        options: of the network that they are for; None: an older version noted none.
        digest: of their file.
        settings: fields of the recipe, each ``field=value``.
        tests: entries of evaluations.json, each by what differs from the paper's test.
        test_data: what recipe.json has on its own test images; None: nothing.
        side_files: the contents of further JSON files beside it.
    """
    recipe = detection_recipe(dataset, model)
    given = {"file": "weights.safetensors", "sha256": digest}
    recipe = (recipe.scaled_to(steps) if steps else recipe).changed(list(settings))
    source = source or PAPERS_DATA[dataset]
    more: dict[str, Any] = {
        "initial_weights": {**given, "source": begun_from} if pretrained_on else None,
        "network": {"architecture": {"name": model, "num_classes": pretrained_on or 1_000}},
    }
    more["network"]["architecture"] |= options or {}
    more |= {"test_data": test_data} if test_data else {}
    data = {"images": images or TRAINING_IMAGES.get(source, 300)}
    run = _begin(folder, recipe, recipe.deviations(), seed, source, data, more)
    length = recipe.steps
    precisions = {"map_50_pct": map_50_pct} | ({} if map_pct is None else {"map_pct": map_pct})
    parts = (("objectness", "rpn_box_reg"), ("classifier", "box_reg"))
    for i in range(1, 41):
        step = length * i // 40
        if step > (length if stopped_at is None else stopped_at):
            break
        risen = 1 - math.exp(-i / 8)
        losses = {f"loss_{part}": 1.5 - risen for part in parts[recipe.phase_of(step - 1) % 2]}
        run.append_event({"step": step, "split": "train", "loss": sum(losses.values()), **losses})
        if i > 20:
            split = "test" if i == 40 else "val"
            found = {key: value * risen for key, value in precisions.items()}
            run.append_event({"step": step, "split": split, **found})
    if stopped_at is None:
        _finish(run, recipe, seed, {f"test_{key}": value for key, value in precisions.items()})
        entries = {entry.test.dataset: entry.test for entry in (*TABLE_7, *TABLE_8)}
        test = entries.get(dataset, TABLE_7[0].test)
        usual = {
            **{"kind": "detection", "set": test.set, "images": test.images, "rule": test.rule},
            **{**precisions, "improvements": [], "provenance": PROVENANCE},
        }
        side_files = {"evaluations": [usual | each for each in tests]} | side_files
    for name, content in side_files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return read_run(folder)


def make_localization_run(
    folder: Path,
    seed: int = 0,
    *,
    errors_pct: dict[tuple[str, str], float],
    source: str | None = None,
    tested_on: tuple[int, str] = (48_238, "ImageNet val"),
    class_views: str = "multi-scale",
    begun_from: str = "/runs/resnet101-s0/model.safetensors",
    classifier: str = "resnet101-s0",
    rcnn: bool = False,
    options: dict[str, str] | None = None,
    rpn: dict[str, Any] | None = None,
    members: Sequence[str] = (),
) -> Run:
    """Make the folder of a localizer's run and read it.

    Args:
        folder: which to make.
        seed: its seed.
        errors_pct: by views and kind of classes, as in the published table.
        source: the name of its data; None: the paper's.
        tested_on: how many images of what.
        class_views: what the classifier sees of an image.
        begun_from: whose weights, which predict the classes in the paper's test.
        classifier: what predicted the classes in this test, as it is noted.
        rcnn: whether it is an R-CNN's.
        options: of the network that it is built on; None: the usual ones.
        rpn: what differs from the usual in what is noted of the R-CNN's RPN.
        members: of the ensemble that was tested, the runs' names.
    """
    recipe = (localization_rcnn_recipe if rcnn else localization_recipe)("resnet101")
    known = {"name": "resnet101", "shortcut": "B", "stride_on": "1x1", "pool": "pad"}
    network = {"architecture": known | (options or {}), "mean": [0.5] * 3, "std": [1.0] * 3}
    given = {"file": begun_from, "sha256": "0a" * 32}
    by = {"classifier": classifier, "class_views": class_views}
    more = {"initial_weights": given, "network": network}
    if rcnn:
        proposes = localization_recipe("resnet101").to_dict()
        noted = {"architecture": known, "recipe": proposes, "classes": []} | (rpn or {})
        more |= {"rpn": {**given, "file": "runs/rpn"}, "network": {**network, "rpn": noted}}
    run = _begin(folder, recipe, {}, seed, source or PAPERS_DATA["localization"], {}, more)
    run.append_event({"step": recipe.steps, "split": "train", "error_pct": 11.0})
    _finish(run, recipe, seed, {"test_error_pct": 12.0, "train_error_pct": 11.0})
    entries = [
        {
            **(by if classes == "predicted" else {}),
            **({"members": [*members]} if members else {}),
            **{"kind": "localization", "views": views, "classes": classes},
            **{"images": tested_on[0], "set": tested_on[1], "provenance": PROVENANCE},
            **{"top5_error_pct": error, "top1_error_pct": error + 10},
        }
        for (views, classes), error in errors_pct.items()
    ]
    (folder / "evaluations.json").write_text(json.dumps(entries))
    return read_run(folder)


def _begin(
    folder: Path,
    recipe: Recipe,
    deviations: dict[str, Any],
    seed: int,
    source: str,
    data: dict[str, Any],
    more: dict[str, Any],
) -> RunFolder:
    run = RunFolder(folder)
    data = {"source": source, "location": "data", "fingerprint": source} | data
    run.write_meta(whole_meta(recipe, deviations=deviations, seed=seed, data=data, **more))
    return run


def _finish(run: RunFolder, recipe: Recipe, seed: int, numbers: dict[str, float]) -> None:
    result = {
        **{"model": recipe.model, "steps": recipe.steps, "seed": seed, "training_s": 12.5},
        **{**numbers, "provenance": PROVENANCE, "resumed": []},
    }
    run.result.write_text(json.dumps(result))
