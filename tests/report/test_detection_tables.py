import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import make_detection_run, make_localization_run, make_run

from deepres.data.detection.voc_classes import VOC_CLASSES
from deepres.report.class_precision_tables import table10, table11
from deepres.report.detection_tables import table7, table8, table9, table12, table13, table14
from deepres.report.measures import MAP_50
from deepres.report.published_detection import TABLE_10, TABLE_11, ClassPrecisions
from deepres.report.read_runs import find_runs
from deepres.report.render import Table


def row(table: Table, *names: str) -> Mapping[str, str]:
    """The row whose first cells are ``names``, by column."""
    (found,) = [cells for cells in table.rows if tuple(cells[: len(names)]) == names]
    return dict(zip(table.columns, found, strict=True))


def others(table: Table) -> dict[str, str]:
    """What stands in the column of other runs, by the row's name."""
    column = list(table.columns).index("other runs")
    return {cells[0]: cells[column] for cells in table.rows if cells[column] != "–"}


def test_published_numbers_are_the_papers() -> None:
    assert [(cells[0], cells[1], cells[2]) for cells in table7([]).rows[:4]] == [
        ("VGG-16", "VOC07 test", "73.2"),
        ("ResNet-101", "VOC07 test", "76.4"),
        ("VGG-16", "VOC12 test", "70.4"),
        ("ResNet-101", "VOC12 test", "73.8"),
    ]
    improvements = [(cells[2], cells[5]) for cells in table9([]).rows]
    assert improvements == [
        *(("41.5", "21.2"), ("48.4", "27.2"), ("49.9", "29.9"), ("51.1", "30.0")),
        *(("53.8", "32.5"), ("53.3", "32.2"), ("55.7", "34.9"), ("59.0", "37.4")),
    ]
    assert [cells[1:3] for cells in table12([]).rows] == [
        *(["ImageNet DET test", "43.9"], ["ImageNet DET val2", "60.5"]),
        *(["ImageNet DET test", "58.8"], ["ImageNet DET val2", "63.6"]),
        ["ImageNet DET test", "62.1"],
    ]
    localized = [(*cells[:3], cells[3]) for cells in table13([]).rows]
    assert ("RPN, ResNet-101", "multi-scale", "predicted", "14.4") in localized
    assert [cells[1:] for cells in table14().rows] == [
        *(["30.0", "29.9"], ["–", "26.7"], ["26.9", "25.3"], ["8.9", "9.0"]),
    ]


@pytest.mark.parametrize("entry", [*TABLE_10, *TABLE_11], ids=lambda e: f"{e.label}, {e.map_pct}")
def test_the_classes_of_each_published_row_average_to_its_map(entry: ClassPrecisions) -> None:
    assert len(entry.of_classes_pct) == len(VOC_CLASSES) == 20
    assert statistics.fmean(entry.of_classes_pct) == pytest.approx(entry.map_pct, abs=0.06)


def test_class_by_class_ours_are_those_of_the_papers_test(tmp_path: Path) -> None:
    def found(*pcts: float, **other: Any) -> dict[str, Any]:
        by_class = {name: pcts[i % len(pcts)] for i, name in enumerate(VOC_CLASSES)}
        return {"map_50_pct": statistics.fmean(pcts), "ap_pct": by_class, **other}

    for seed in range(2):  # a later test of another kind changes nothing
        tests = found(70.0 + seed, 80.0 + seed), found(99.0, improvements=["box refinement"])
        make_detection_run(tmp_path / str(seed), seed=seed, tests=tests)
    make_detection_run(tmp_path / "vgg", "vgg16", tests=(found(72.0, 74.0),))
    others = found(99.0, rule="area"), found(99.0, images=100), {"map_50_pct": 99.0}
    make_detection_run(tmp_path / "2", seed=2, tests=others)
    table = table10(find_runs([tmp_path]))
    n, mean, first, *_ = table.rows
    assert n[:5] == ["n", "", "1", "", "2"]
    assert mean[:5] == ["mAP", "73.2", "73.0", "76.4", "75.5"]
    assert first[:5] == ["aeroplane", "76.5", "72.0", "79.8", "70.5"]
    assert "published only" in n
    assert table11(find_runs([tmp_path])) == table11([])


def test_words_are_set_to_the_left_and_numbers_to_the_right() -> None:
    for table, words in ((table7([]), ["tested on"]), (table13([]), ["views", "classes"])):
        names, *_, provenance = table.columns
        left = {table.columns[i] for i in range(len(table.columns)) if i not in table.numbers}
        assert left == {names, *words, provenance}


def test_without_runs_there_are_gaps() -> None:
    found = row(table8([]), "VGG-16")
    assert (found["mAP@.5 ours"], found["mAP@[.5, .95] ours"]) == ("no run yet", "no run yet")
    assert row(table12([]), "ensemble of three", "ImageNet DET test")["ours"] == "published only"
    assert not any(others(table([])) for table in (table7, table8, table9, table12, table13))


def test_of_several_seeds_the_best_is_the_most_precise(tmp_path: Path) -> None:
    for seed, precision in enumerate((75.4, 76.0, 76.6)):
        make_detection_run(tmp_path / str(seed), seed=seed, map_50_pct=precision)
    make_detection_run(tmp_path / "again", seed=1, map_50_pct=99.0)
    found = row(table7(find_runs([tmp_path])), "ResNet-101", "VOC07 test")
    assert found["ours"] == "76.60 (76.00 ± 0.60)"
    assert (found["difference"], found["n"]) == ("−0.40", "3")
    assert found["provenance"] == "seeds 0, 1, 2; commit abc123; torch 2.15.0; AMD EPYC, 2 threads"


def test_a_single_runs_number_has_its_standard_error(tmp_path: Path) -> None:
    resampled = {"images": "f00", "map_50_pct": [74.0, 75.0, 76.0, 75.0]}
    make_detection_run(tmp_path / "0", map_50_pct=75.0, tests=({"resampled": resampled},))
    table = table7(find_runs([tmp_path]))
    assert row(table, "ResNet-101", "VOC07 test")["ours"] == "75.00 ± 0.82"
    assert "standard error" in " ".join(table.notes)
    assert "standard error" not in " ".join(table13([]).notes)  # errors are not resampled
    # Of several seeds, they are what the precision differs by.
    more = ({"resampled": resampled},)
    make_detection_run(tmp_path / "1", seed=1, map_50_pct=77.0, tests=more)
    found = row(table7(find_runs([tmp_path])), "ResNet-101", "VOC07 test")
    assert found["ours"] == "77.00 (76.00 ± 1.41)"


@pytest.mark.parametrize(
    "noted", [{"fingerprint": "0123456789"}, {"resampled": {"images": "0123456789"}}]
)
def test_edited_boxes_make_another_test(tmp_path: Path, noted: dict[str, Any]) -> None:
    """Of the images that the run was begun with, and of those with other boxes."""
    own = {"source": "VOC 2007 test", "fingerprint": "f00"}
    tests = ({"fingerprint": "f00"}, {**noted, "map_50_pct": 99.0})
    run = make_detection_run(tmp_path / "run", map_50_pct=75.0, tests=tests, test_data=own)
    table = table7([run])
    assert row(table, "ResNet-101", "VOC07 test")["ours"] == "75.00"
    assert others(table) == {"ResNet-101, 4,952 images of VOC 2007 test (01234567)": "99.00"}
    assert MAP_50.of(run) == 75


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    tests = tuple(
        {"set": "data test", "images": 3, "fingerprint": 8 * name, "map_50_pct": pct}
        for name, pct in (("a", 40.0), ("b", 50.0))
    )
    made = {"dataset": "folder", "source": "data trainval", "model": "resnet18"}
    own = {"source": "data test", "fingerprint": 8 * "a"}
    run = make_detection_run(tmp_path / "run", **made, tests=tests, test_data=own)
    label = "ResNet-18, data trainval, tested on 3 images of data test"
    assert others(table7([run])) == {label: "40.00", f"{label} (bbbbbbbb)": "50.00"}


def test_a_draw_without_objects_leaves_no_standard_error(tmp_path: Path) -> None:
    resampled = {"images": "f00", "map_50_pct": [74.0, None, 76.0]}
    make_detection_run(tmp_path / "0", map_50_pct=75.0, tests=({"resampled": resampled},))
    found = row(table7(find_runs([tmp_path])), "ResNet-101", "VOC07 test")
    assert found["ours"] == "75.00"


def test_coco_has_two_measures(tmp_path: Path) -> None:
    make_detection_run(tmp_path / "v", "vgg16", "coco", map_50_pct=42.0, map_pct=21.0)
    found = row(table8(find_runs([tmp_path])), "VGG-16", "COCO val")
    assert (found["mAP@.5 ours"], found["mAP@.5 difference"]) == ("42.00", "+0.50")
    assert (found["mAP@[.5, .95] ours"], found["mAP@[.5, .95] difference"]) == ("21.00", "−0.20")


@pytest.mark.parametrize(
    ("what", "label"),
    [
        ({"steps": 3_200}, "ResNet-101, 3,200 of 280,000 steps"),
        ({"settings": ("batch_norm=trained",)}, "ResNet-101, batch_norm=trained"),
        (
            {"tests": ({"images": 100},)},
            "ResNet-101, 100 images of VOC 2007 test",
        ),
        ({"tests": ({"rule": "area"},)}, "ResNet-101, rule area"),
        ({"source": "VOC 2012 train"}, "ResNet-101, VOC 2012 train"),
        ({"images": 60}, "ResNet-101, 60 images of VOC 07+12"),
        ({"pretrained_on": None}, "ResNet-101, random initial weights"),
        ({"pretrained_on": 200}, "ResNet-101, pre-trained on 200 classes"),
        (
            {"tests": ({"improvements": ["box refinement"]},)},
            "ResNet-101, VOC 07+12, box refinement, tested on 4,952 images of VOC 2007 test",
        ),
        (
            {"tests": ({"set": "VOC 2012 val", "images": 5_823, "rule": "area"},)},
            "ResNet-101, VOC 07+12, tested on 5,823 images of VOC 2012 val",
        ),
        (
            {"dataset": "folder", "source": "BCCD trainval", "model": "resnet18"},
            "ResNet-18, BCCD trainval, tested on 4,952 images of VOC 2007 test",
        ),
        (
            {"dataset": "voc07++12", "tests": ({"set": "VOC 2007 test", "images": 4_952},)},
            "ResNet-101, VOC 07++12, tested on 4,952 images of VOC 2007 test",
        ),
        (
            {"tests": ({"members": ["a", "b"]},)},
            "ensemble of 2, VOC 07+12, tested on 4,952 images of VOC 2007 test",
        ),
    ],
)
def test_what_is_not_the_papers_never_stands_as_the_papers(
    tmp_path: Path, what: dict[str, Any], label: str
) -> None:
    make_detection_run(tmp_path / "run", map_50_pct=33.3, **what)
    table = table7(find_runs([tmp_path]))
    assert others(table) == {label: "33.30"}
    column = list(table.columns).index("other runs")
    for cells in table.rows:
        assert not any("33.3" in cell for i, cell in enumerate(cells) if i != column)


def test_a_run_under_way_or_untested_says_so(tmp_path: Path) -> None:
    make_detection_run(tmp_path / "a", "vgg16", stopped_at=80_000)
    make_detection_run(tmp_path / "b", "resnet101", tests=())
    table = table7(find_runs([tmp_path]))
    assert row(table, "VGG-16", "VOC07 test")["ours"] == "under way: 77,000 of 280,000 steps"
    assert row(table, "ResNet-101", "VOC07 test")["ours"] == "trained, test missing"


REFINED = {"improvements": ["box refinement"], "map_50_pct": 50.0, "map_pct": 30.0}
WITH_CONTEXT = {
    "improvements": ["box refinement", "global context"],
    **{"map_50_pct": 51.0, "map_pct": 31.0},
}
ALL = {
    "improvements": ["box refinement", "global context", "multi-scale"],
    **{"map_50_pct": 53.0, "map_pct": 32.0},
}


def test_improvements_stand_on_their_rows(tmp_path: Path) -> None:
    make_detection_run(
        tmp_path / "a", dataset="coco", map_50_pct=48, map_pct=27, tests=({}, REFINED)
    )
    make_detection_run(
        tmp_path / "b",
        dataset="coco",
        settings=("global_context=true",),
        tests=(WITH_CONTEXT, ALL, ALL | {"members": ["b", "c", "d"], "map_50_pct": 55.0}),
    )
    runs = find_runs([tmp_path])
    ours = [(cells[3], cells[6]) for cells in table9(runs).rows[1:5]]
    assert ours == [("48.00", "27.00"), ("50.00", "30.00"), ("51.00", "31.00"), ("53.00", "32.00")]
    (label,) = others(table9(runs))
    assert label.startswith("ensemble of 3, COCO 2014 train, box refinement, global context, multi")
    assert others(table8(runs)) == {}
    assert row(table8(runs), "ResNet-101")["mAP@.5 ours"] == "48.00"


def test_of_a_test_done_twice_the_later_one_counts(tmp_path: Path) -> None:
    make_detection_run(tmp_path / "a", tests=({"map_50_pct": 70.0}, {"map_50_pct": 71.0}))
    found = row(table7(find_runs([tmp_path])), "ResNet-101", "VOC07 test")
    assert (found["ours"], found["n"]) == ("71.00", "1")


def test_what_a_server_answered_may_be_noted_by_hand(tmp_path: Path) -> None:
    noted = {
        **{"kind": "detection", "set": "VOC 2012 test", "images": 10_991, "rule": "area"},
        **{"map_50_pct": 73.5, "improvements": [], "provenance": {}},
    }
    make_detection_run(tmp_path / "a", dataset="voc07++12", evaluations=[noted])
    found = row(table7(find_runs([tmp_path])), "ResNet-101", "VOC12 test")
    assert (found["ours"], found["difference"]) == ("73.50", "−0.30")


def test_localization(tmp_path: Path) -> None:
    errors = {("multi-scale", "predicted"): 14.0, ("multi-scale", "ground truth"): 12.0}
    make_localization_run(tmp_path / "a", errors_pct=errors)
    make_localization_run(tmp_path / "b", 1, errors_pct={("multi-scale", "predicted"): 15.0})
    tiny = {"source": "Tiny-ImageNet train", "tested_on": (10_000, "Tiny-ImageNet val")}
    make_localization_run(tmp_path / "c", errors_pct={("multi-scale", "predicted"): 35.0}, **tiny)
    table = table13(find_runs([tmp_path]))
    found = row(table, "RPN, ResNet-101", "multi-scale", "predicted")
    assert found["ours"] == "14.00 (14.50 ± 0.71)"  # of errors the lowest is the best
    assert found["difference"] == "+0.10"
    assert row(table, "RPN, ResNet-101", "multi-scale", "ground truth")["ours"] == "12.00"
    ours = row(table, "RPN, ResNet-101", "1-crop", "ground truth")["ours"]
    assert ours == "trained, test missing"
    assert others(table) == {
        "ResNet-101, Tiny-ImageNet train, multi-scale, predicted classes, tested on 10,000 images "
        "of Tiny-ImageNet val": "35.00"
    }


def test_rcnns_for_localization_have_rows_of_their_own(tmp_path: Path) -> None:
    last = "multi-scale", "predicted"
    make_localization_run(tmp_path / "rpn", errors_pct={last: 14.0})
    make_localization_run(tmp_path / "a", errors_pct={last: 10.5}, rcnn=True)
    for seed, name, other, error in ((1, "b", "a", 9.0), (2, "c", "gone", 8.0)):
        run, members = tmp_path / name, [name, other]
        make_localization_run(run, seed, errors_pct={last: error}, rcnn=True, members=members)
    table = table13(find_runs([tmp_path]))
    assert row(table, "RPN, ResNet-101", *last)["ours"] == "14.00"
    assert row(table, "RPN + R-CNN, ResNet-101", *last)["ours"] == "10.50"
    assert row(table, "RPN + R-CNN, ensemble", *last)["ours"] == "9.00"
    # An ensemble is the paper's if all of its members are known to be.
    assert others(table) == {
        "ensemble of 2, ImageNet train, R-CNN, multi-scale, predicted classes, tested on 48,238 "
        "images of ImageNet val": "8.00"
    }


def test_localization_counts_the_images_that_ilsvrcs_own_test_counts(tmp_path: Path) -> None:
    errors = {("multi-scale", "predicted"): 14.0}
    make_localization_run(tmp_path / "a", errors_pct=errors, tested_on=(50_000, "ImageNet val"))
    table = table13(find_runs([tmp_path]))
    ours = row(table, "RPN, ResNet-101", "multi-scale", "predicted")["ours"]
    assert ours == "trained, test missing"
    assert others(table) == {"RPN, ResNet-101, 50,000 images of ImageNet val": "14.00"}


def test_the_predicted_classes_are_those_of_several_scales(tmp_path: Path) -> None:
    errors = {("multi-scale", "predicted"): 14.0}
    make_localization_run(tmp_path / "a", errors_pct=errors, class_views="10-crop")
    assert others(table13(find_runs([tmp_path]))) == {
        "RPN, ResNet-101, classes by 10-crop": "14.00"
    }


@pytest.mark.parametrize(
    ("begun_from", "classifier", "row_of_others"),
    [
        ("/runs/a/model.safetensors", "a", ""),
        ("a/model.safetensors", "a", ""),  # as a run that was passed on has it
        ("/runs/a/model.batchnorm.safetensors", "a/model.batchnorm.safetensors", ""),
        ("/runs/a/model.safetensors", "b", "RPN, ResNet-101, classes of b"),
        ("/runs/a/model.safetensors", "a + b", "RPN, ResNet-101, classes of a + b"),
    ],
)
def test_the_predicted_classes_are_those_of_the_network_that_the_localizer_began_from(
    tmp_path: Path, begun_from: str, classifier: str, row_of_others: str
) -> None:
    errors = {("multi-scale", "predicted"): 14.0}
    how = {"begun_from": begun_from, "classifier": classifier}
    make_localization_run(tmp_path / "run", errors_pct=errors, **how)
    expected = {row_of_others: "14.00"} if row_of_others else {}
    assert others(table13(find_runs([tmp_path]))) == expected


def test_an_ensembles_predicted_classes_are_those_of_all_that_its_members_began_from(
    tmp_path: Path,
) -> None:
    last, members = ("multi-scale", "predicted"), ["m", "n"]
    for seed, name, classifier in ((0, "m", "a + b"), (1, "n", "a")):
        make_localization_run(
            tmp_path / name,
            seed,
            errors_pct={last: 9.0 - seed},
            rcnn=True,
            begun_from=f"/runs/{'ab'[seed]}/model.safetensors",
            classifier=classifier,
            members=sorted(members, reverse=seed == 1),
        )
    table = table13(find_runs([tmp_path]))
    assert row(table, "RPN + R-CNN, ensemble", *last)["ours"] == "9.00"
    assert others(table) == {"RPN + R-CNN, ensemble, classes of a": "8.00"}


def test_tests_by_other_classifiers_are_not_pooled(tmp_path: Path) -> None:
    errors, tiny = {("1-crop", "predicted"): 35.0}, {"source": "Tiny-ImageNet train"}
    for seed, classifier in enumerate("ab"):
        make_localization_run(
            tmp_path / str(seed),
            seed,
            errors_pct=errors,
            **tiny,
            begun_from="/runs/a/model.safetensors",
            classifier=classifier,
        )
    own, other = others(table13(find_runs([tmp_path])))
    assert "classes of" not in own
    assert "predicted classes, classes of b, tested on" in other


def test_classifiers_are_no_detectors(tmp_path: Path) -> None:
    make_run(tmp_path / "a", "resnet101")
    runs = find_runs([tmp_path])
    for table in (table7, table8, table9, table12, table13):
        assert table(runs) == table([])


def test_below_the_table_is_what_fills_its_gaps(tmp_path: Path) -> None:
    make_detection_run(tmp_path / "a", "vgg16")
    make_detection_run(tmp_path / "b", "resnet101", steps=3_200)
    missing = [note for note in table7(find_runs([tmp_path])).all_notes if "Missing" in note]
    assert len(missing) == 3
    assert missing[0] == (
        "Missing: ResNet-101, VOC07 test: deepres detect train resnet101 --on voc07+12 "
        "--weights WEIGHTS"
    )
    for model in ("resnet101", "vgg16"):
        make_detection_run(tmp_path / f"coco-{model}", model, "coco", map_50_pct=48, map_pct=27)
    missing = [note for note in table9(find_runs([tmp_path])).all_notes if "Missing" in note]
    assert [note.split(":")[1].strip() for note in missing] == [
        *("+ box refinement, COCO val", "+ global context, COCO val"),
        "+ multi-scale testing, COCO val",
    ]
    assert "train" not in missing[0]  # there is a detector, and only the test is missing
    assert "--set global_context=true" in missing[1]


def test_a_table_without_a_run_says_so() -> None:
    for table in (table7, table8, table9, table10, table11, table13):
        assert table([]).is_empty
        assert table([]).missing
    assert not table12([]).is_empty  # whose rows are published only
    assert not table14().is_empty


def test_a_run_that_is_like_no_published_row_makes_a_table_worth_reading(tmp_path: Path) -> None:
    make_detection_run(tmp_path / "b", "resnet101", steps=3_200)
    assert not table7(find_runs([tmp_path])).is_empty
    assert table8(find_runs([tmp_path])).is_empty
