import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import (
    PROVENANCE,
    SAMPLE,
    make_detection_run,
    make_fine_tuned_run,
    make_localization_run,
    make_run,
)

from deepres.recipes import localization_recipe
from deepres.report.computed import computed, hardware_of
from deepres.report.grouping import comparable, poolable
from deepres.report.names import title
from deepres.report.read_runs import find_runs, read_run
from deepres.report.runs import Run
from deepres.run_folder import RunFolder


@pytest.mark.parametrize(
    ("what", "condition"),
    [
        ({}, ""),
        ({"steps": 2_000}, "2,000 of 64,000 steps"),
        (  # shortened, and then extended to the paper's length
            {"deviations": {"scaled_from": 64_000, "lr_drops": [1_000, 1_500]}},
            "rate drops after 1,000 and 1,500 steps",
        ),
        ({"source": SAMPLE}, "sample"),
        ({"deviations": {"lr": 0.05}}, "learning rate 0.05"),
        (
            {"steps": 60, "source": SAMPLE, "deviations": {"lr": 0.05}},
            "60 of 64,000 steps, learning rate 0.05, sample",
        ),
        ({"model": "resnet34"}, ""),
        ({"model": "resnet34", "deviations": {"shortcut": "B"}}, ""),  # Table 3 has it
        ({"model": "resnet18", "deviations": {"shortcut": "A"}}, ""),  # the paper's, said aloud
        ({"model": "resnet50", "deviations": {"shortcut": "B"}}, ""),
        ({"model": "resnet50", "deviations": {"shortcut": "C"}}, "shortcuts of option C"),
        ({"deviations": {"eval_every": 500}}, ""),  # how often it is tested changes nothing
        (
            {"model": "resnet18", "deviations": {"eval_every": 500, "lr_plateau": 3}},
            "tested every 500 steps, lr_plateau=3",
        ),
        ({"deviations": {"log_every": 50}}, ""),  # nor how often it is logged
        (  # but that the warm-up ends by the error that is logged
            {"model": "resnet110", "deviations": {"log_every": 5_000}},
            "logged every 5,000 steps",
        ),
        ({"model": "resnet50", "deviations": {"shortcut": "A"}}, "shortcuts of option A"),
        ({"model": "resnet18", "source": "ImageNet"}, ""),
        ({"model": "resnet18", "source": "imagenet (1000 classes)"}, "imagenet (1000 classes)"),
    ],
)
def test_what_sets_a_run_apart(tmp_path: Path, what: dict[str, object], condition: str) -> None:
    run = make_run(tmp_path / "run", **what)
    assert run.condition == condition
    assert run.is_papers == (not condition)


@pytest.mark.parametrize(
    ("model", "shortcut"),
    [("resnet20", "A"), ("resnet34", "A"), ("resnet50", "B"), ("plain34", None)],
)
def test_shortcuts_are_the_papers(tmp_path: Path, model: str, shortcut: str | None) -> None:
    assert make_run(tmp_path / "run", model).shortcut == shortcut


def test_fine_tuned_runs_are_set_apart_by_what_they_began_from(tmp_path: Path) -> None:
    runs = [
        make_fine_tuned_run(tmp_path / str(seed), seed, digest * 32)
        for seed, digest in enumerate(("0a", "0a", "0b"))
    ]
    assert [[run.name for run in group] for group in poolable(runs)] == [["0", "1"], ["2"]]
    words = "fine-tuned from weights 0a0a0a0a…, by no recipe of the paper, 500 of 4,000 steps"
    assert runs[0].condition.startswith(words)
    assert "pretrained" not in runs[0].condition
    assert (runs[0].shortcut, runs[0].is_papers) == ("A", False)


def test_the_papers_runs_come_first_and_seeds_once(tmp_path: Path) -> None:
    make_run(tmp_path / "sample", seed=3, source=SAMPLE)
    make_run(tmp_path / "short", seed=0, steps=300)
    make_run(tmp_path / "longer", seed=0, steps=2_000)
    make_run(tmp_path / "b", seed=1)
    make_run(tmp_path / "a", seed=0)
    make_run(tmp_path / "again", seed=0, stopped_at=1_600)
    make_run(tmp_path / "two", seed=2, provenance={"processes": 2})  # BN sees 64 images
    groups = poolable(find_runs([tmp_path]))
    assert [[run.name for run in group] for group in groups] == [
        *(["a", "b"], ["two"], ["longer"], ["short"], ["sample"])
    ]


def test_a_run_under_way_has_a_last_step(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", stopped_at=16_000)
    assert run.result is None
    assert run.last_step == 16_000


def test_names_are_the_papers() -> None:
    names = ["plain20", "resnet110", "vgg19", "highway32", "resnet50-cifar", "other"]
    assert [*map(title, names)] == [
        *("plain-20", "ResNet-110", "VGG-19", "Highway-32", "ResNet-50-cifar", "other")
    ]


@pytest.mark.parametrize(
    ("what", "condition"),
    [
        ({}, ""),
        ({"settings": ("global_context=true",)}, ""),  # Table 9 has it
        ({"settings": ("bad_boxes=skip",)}, ""),  # COCO demands it
        ({"settings": ("masks=true",)}, "masks=true"),
        ({"images": 60}, "60 images of VOC 07+12"),
        ({"pretrained_on": None}, "random initial weights"),
        ({"begun_from": "detector"}, "begun from a detector"),
        ({"options": {"shortcut": "B", "stride_on": "1x1", "pool": "ceil"}}, ""),
        ({"options": {"stride_on": "3x3"}}, "strides in 3x3 convolutions"),  # torchvision's
        (
            {"options": {"shortcut": "A"}, "pretrained_on": 200},
            "pre-trained on 200 classes, shortcuts of option A",
        ),
        ({"model": "resnet34", "options": {"shortcut": "B"}}, "shortcuts of option B"),
        ({"dataset": "coco-trainval"}, ""),
        (
            {"pretrained_on": 200, "steps": 3_200},
            "3,200 of 280,000 steps, pre-trained on 200 classes",
        ),
        ({"dataset": "folder", "source": "BCCD trainval"}, "BCCD trainval"),
        ({"dataset": "coco"}, ""),
    ],
)
def test_what_sets_a_detector_apart(tmp_path: Path, what: dict[str, Any], condition: str) -> None:
    run = make_detection_run(tmp_path / "run", **what)
    assert run.condition == condition


def rpn(model: str = "resnet101", steps: int = 60_000, *settings: str) -> dict[str, Any]:
    """What an R-CNN's recipe.json has on its RPN."""
    recipe = localization_recipe(model).scaled_to(steps).changed([*settings])
    return {"architecture": {"name": model}, "recipe": recipe.to_dict()}


@pytest.mark.parametrize(
    ("what", "condition"),
    [
        ({"options": {"pool": "ceil"}}, ""),
        ({"options": {"stride_on": "3x3"}}, "strides in 3x3 convolutions"),
        ({"rcnn": True}, ""),
        ({"rcnn": True, "options": {"shortcut": "C"}}, "shortcuts of option C"),
        ({"rcnn": True, "rpn": rpn("resnet101", 60_000, "eval_images=100", "log_every=50")}, ""),
        ({"rcnn": True, "rpn": rpn("resnet18", 600)}, "RPN (resnet18, 600 of 60,000 steps)"),
        ({"rcnn": True, "rpn": rpn("resnet101", 60_000, "lr=0.1")}, "RPN (learning rate 0.1)"),
        (
            {"rcnn": True, "rpn": {"architecture": {"name": "resnet101", "stride_on": "3x3"}}},
            "RPN (strides in 3x3 convolutions)",
        ),
        ({"rcnn": True, "rpn": {"recipe": {}}}, "RPN (recipe of another version of deepres)"),
    ],
)
def test_what_sets_a_localizer_apart(tmp_path: Path, what: dict[str, Any], condition: str) -> None:
    run = make_localization_run(tmp_path / "run", errors_pct={}, **what)
    assert run.condition == condition


def test_detectors_are_set_apart_by_the_weights_that_they_began_from(tmp_path: Path) -> None:
    for seed, digest in enumerate(("0b", "0a", "0a", "0a")):
        make_detection_run(tmp_path / str(seed), seed=seed, digest=digest * 32)
    largest, other = poolable(find_runs([tmp_path]))
    assert [run.name for run in largest] == ["1", "2", "3"]
    assert all(run.is_papers for run in largest)
    assert [(run.name, run.condition) for run in other] == [("0", "begun from weights 0b0b0b0b…")]
    (compared,) = comparable(find_runs([tmp_path]))
    assert [[run.name for run in same] for same in compared.values()] == [["1", "2", "3"]]


def test_what_is_built_on_a_network_is_no_classifier(tmp_path: Path) -> None:
    detector = make_detection_run(tmp_path / "a", settings=("global_context=true",))
    assert not detector.is_classifier
    assert detector.label == "ResNet-101 detector with global context on VOC 07+12"
    localizer = make_localization_run(tmp_path / "b", errors_pct={})
    assert localizer.label == "ResNet-101 localizer on ImageNet train"
    assert localizer.is_papers
    assert make_run(tmp_path / "c", "resnet101").label == "ResNet-101"


def test_precision_is_told_and_sets_no_run_apart(tmp_path: Path) -> None:
    on_gpu = {"precision": "bf16", "hardware": "NVIDIA H100"}
    new = make_run(tmp_path / "new", provenance=on_gpu)
    old = make_run(tmp_path / "old", deviations={"precision": "fp32"})
    assert (new.condition, old.condition) == ("", "")
    told = computed(way for run in (new, old, new) for way in run.provenances)
    assert told == "bf16 on NVIDIA H100; fp32 on AMD EPYC, 2 threads"
    assert computed(make_run(tmp_path / "auto").provenances) == "AMD EPYC, 2 threads"


def test_where_a_run_went_on_is_of_its_provenance(tmp_path: Path) -> None:
    folder = RunFolder(make_run(tmp_path / "run").path)
    elsewhere = {**PROVENANCE, "hardware": "Intel Xeon, 1 threads", "commit": "def456"}
    folder.write_meta({**folder.read_meta(), "resumed": [{"step": 9, **elsewhere}]})
    ways = read_run(folder.path).provenances
    assert [way["commit"] for way in ways] == ["abc123", "def456"]
    assert computed(ways) == "AMD EPYC, 2 threads; Intel Xeon, 1 thread"


def test_a_run_that_was_extended_keeps_the_papers_length(tmp_path: Path) -> None:
    longer = {"steps": 100_000}
    assert make_run(tmp_path / "long", deviations=longer).papers_steps == 64_000
    assert make_run(tmp_path / "short", steps=2_000).papers_steps == 64_000


def test_what_was_edited_after_training_is_no_run_of_the_papers(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert run.is_papers
    folder = RunFolder(run.path)
    assert run.result
    folder.write_result(run.result)
    assert read_run(run.path).is_papers
    folder.recipe.write_text(folder.recipe.read_text().replace('"seed": 0', '"seed": 1'))
    folder.metrics.write_text(folder.metrics.read_text().replace("8", "7", 1))
    edited = read_run(run.path)
    assert not edited.is_papers
    assert edited.condition == "recipe.json and metrics.jsonl edited or damaged after training"


def test_older_results_are_told_in_todays_words() -> None:
    assert hardware_of({"hardware": "AMD EPYC, 1 threads"}) == "AMD EPYC, 1 thread"
    assert hardware_of({"hardware": "AMD EPYC, 11 threads"}) == "AMD EPYC, 11 threads"
    assert hardware_of({}) == ""


def test_a_run_that_may_not_be_looked_into_is_said_to_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, whole = make_run(tmp_path / "closed"), make_run(tmp_path / "open")
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed.path and may(path, mode))
    said: list[str] = []
    assert [run.path for run in find_runs([tmp_path], said.append)] == [whole.path]
    assert said == [f"{closed.path} may not be looked into; mend the folder's permissions"]


def test_a_run_that_is_taken_away_meanwhile_is_said_to_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, whole = make_run(tmp_path / "gone"), make_run(tmp_path / "whole")

    def read(path: Path) -> Run:
        if path == gone.path:
            shutil.rmtree(path)
            path.stat()
        return read_run(path)

    monkeypatch.setattr("deepres.report.read_runs.read_run", read)
    said: list[str] = []
    assert [run.path for run in find_runs([tmp_path], said.append)] == [whole.path]
    assert len(said) == 1
    assert str(gone.path) in said[0]
