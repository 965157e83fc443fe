import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from annotated_pictures import coco_folder, coco_test_dev, truth_as_found, voc_folder, voc_xml
from json_keys import assert_documented
from made_up_runs import make_detection_run
from PIL import Image
from small_detection import TINY, narrow_networks, tiny_recipe, tiny_sets, tiny_voc

from deepres.cli.main import main
from deepres.data.detection.records import Detections
from deepres.data.detection.voc_classes import VOC_CLASSES
from deepres.detection.faster_rcnn import create_detector
from deepres.detection.weights import save_detector
from deepres.evaluation.detection import detector_protocol
from deepres.evaluation.detection.detector_inference import detect_all
from deepres.evaluation.detection.resampling import DRAWS
from deepres.evaluation.detection.result_files import write_voc
from deepres.files import read_json
from deepres.report.read_runs import read_run
from deepres.run_folder import RunFolder

SET = [part for setting in TINY for part in ("--set", setting)]
CPU = ["--device", "cpu", "--workers", "0"]


@pytest.fixture(scope="module", autouse=True)
def narrow():
    with narrow_networks():
        yield


def train(place: Path, *more: str, network: str = "resnet18") -> None:
    command = ["detect", "train", network, "--on", str(place / "cells"), "--steps", "4"]
    assert main([*command, *CPU, *SET, *more]) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in VOC's layout, and runs of detectors without and with global context."""
    place = tmp_path_factory.mktemp("place")
    tiny_voc(place / "cells")
    one = {"0": voc_xml(60, 40, [("cat", (4, 5, 40, 34))])}
    voc_folder(place / "halves", {"train": one, "val": one})
    joint = ("--schedule", "joint")
    train(place, *joint, "--out", str(place / "plain"))
    train(place, *joint, "--set", "global_context=true", "--out", str(place / "context"))
    return place


def test_the_papers_comparison_is_a_command_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Table 7 in miniature: VGG-16 and ResNet-101 by the same recipe, but for the network."""
    monkeypatch.chdir(tmp_path)
    objects = [("cat", (4, 5, 40, 34)), ("dog", (30, 2, 58, 30))]
    images = {f"{i}": voc_xml(60, 40, objects) for i in range(3)}
    for year, split in ((2007, "trainval"), (2012, "trainval"), (2007, "test")):
        folder = tmp_path / f"VOCdevkit/VOC{year}"
        voc_folder(folder, {split: {f"{year}{split}{name}": xml for name, xml in images.items()}})
    recipes = []
    for network in ("vgg16", "resnet101"):
        command = ["detect", "train", network, "--on", "voc07+12", "--steps", "4", *CPU, *SET]
        assert main(command) == 0
        shown = capsys.readouterr().out
        assert f"{network} detector: mAP@.5 " in shown
        assert "on VOC 2007 test, 4 steps, shortened from 280,000, VOC 07+12, seed 0" in shown
        name = "-".join([network, "voc07+12", *TINY, "4steps-s0"])
        meta = RunFolder(tmp_path / "runs" / name).read_meta()
        assert (meta["data"]["images"], meta["test_data"]["images"]) == (6, 3)
        recipes.append(meta["recipe"])
    vgg, resnet = recipes
    assert {field for field in vgg if vgg[field] != resnet[field]} == {"model"}


def test_test_images_that_are_trained_on_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny_voc(tmp_path / "cells")
    lists = data / "ImageSets/Main"
    (lists / "test.txt").write_text((lists / "trainval.txt").read_text() + "b0\n")
    command = ["detect", "train", "resnet18", "--on", str(data), "--schedule", "joint", *CPU, *SET]
    assert main([*command, "--steps", "1", "--out", str(tmp_path / "run")]) == 0
    assert "4 of 5 test images are trained on, too" in capsys.readouterr().err


def test_a_run_is_repeated(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["detect", "train", "--recipe", str(place / "plain/recipe.json"), *CPU]
    assert main([*command, "--schedule", "joint"]) == 2
    assert "leave out --schedule" in capsys.readouterr().err
    assert main([*command, "--bad-boxes", "skip"]) == 2
    assert "leave out --bad-boxes" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "again")]) == 0
    assert f"the same bits as {place / 'plain/model.safetensors'}" in capsys.readouterr().out


def test_a_run_is_gone_on_with(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "train", "--resume", str(place / "plain"), *CPU]) == 0
    said = capsys.readouterr()
    assert "all 4 steps are done" in said.err
    assert "resnet18 detector: mAP@.5" in said.out
    assert "not the paper's: joint training" in said.out
    assert (place / "plain/curves.png").stat().st_size > 10_000


def test_a_detector_starts_from_another(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(place, "--weights", str(place / "context"), "--out", str(tmp_path / "run"))
    said = capsys.readouterr().err
    assert f"taken from the detector in {place / 'context/model.safetensors'}: all but" in said
    assert "no --weights" not in said
    assert RunFolder(tmp_path / "run").read_meta()["initial_weights"]["source"] == "detector"


def test_evaluate_notes_what_it_finds(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["detect", "evaluate", str(place / "plain"), "--refine", "--multi-scale", *CPU]
    results = place / "results"
    assert main([*command, "--save-submission", str(results)]) == 0
    shown = capsys.readouterr().out
    assert "plain + box refinement + multi-scale" in shown
    assert "3 images of cells test" in shown
    assert "± is the standard error" in shown
    first, second = read_json(place / "plain/evaluations.json")
    assert first["improvements"] == []
    assert second["improvements"] == ["box refinement", "multi-scale"]
    assert (second["kind"], second["set"], second["images"]) == ("detection", "cells test", 3)
    for each in (first, second):
        assert len(each["resampled"]["map_50_pct"]) == DRAWS
    assert first["resampled"]["images"] == second["resampled"]["images"]
    test = "plain + box refinement + multi-scale: 3 images of cells test"
    curves = read_json(place / "plain/pr_curves.json")
    assert curves["test"] == test
    assert curves["classes"]["cat"]["ap_pct"] == second["ap_pct"]["cat"]
    with Image.open(place / "plain/detections.png") as sheet:
        assert sheet.info["Description"] == test
        assert sheet.width > 900

    # The results file by itself has the same precision.
    file = ["--results", str(results), "--on", "test", "--data", str(place / "cells")]
    assert main(["detect", "evaluate", *file]) == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["cat", f"{second['map_50_pct']:.1f}"] in words


def test_a_detector_that_is_replaced_meanwhile_leaves_nothing_behind(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, left = tmp_path / "run", ("evaluations.json", "pr_curves.json", "detections.png")
    shutil.copytree(place / "plain", run, ignore=shutil.ignore_patterns(*left))

    def replaced_meanwhile(*tested):
        found = detect_all(*tested)
        shutil.copy(place / "context/model.safetensors", run)
        return found

    monkeypatch.setattr(detector_protocol, "detect_all", replaced_meanwhile)
    assert main(["detect", "evaluate", str(run), *CPU]) == 0
    out, err = capsys.readouterr()
    assert "3 images of cells test" in out
    assert f"{run}: its weights were replaced during the test" in err
    assert not any((run / name).exists() for name in left)


@pytest.mark.parametrize("name", ["pr_curves.json", "detections.png"])
def test_evaluate_replaces_only_what_it_has_written_itself(
    name: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(place / "context", tmp_path / "run")
    command = ["detect", "evaluate", str(run), *CPU]
    for _ in range(2):  # what is there the second time is ours
        assert main(command) == 0
    noted = (run / "evaluations.json").read_bytes()
    (run / name).write_text('{"theirs": {}}')
    assert main([*command, "--refine"]) == 2
    assert f"{run / name} is there already, and was not written by" in capsys.readouterr().err
    assert (run / name).read_text() == '{"theirs": {}}'
    assert (run / "evaluations.json").read_bytes() == noted  # it is said before any work


def test_other_weights_in_a_runs_folder_are_not_taken_for_its_own(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(place / "context", tmp_path / "run")
    other = shutil.copy(run / "model.safetensors", run / "other.safetensors")
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    assert main(["detect", "evaluate", str(other), *CPU]) == 0  # on the images of the run
    assert "run/other.safetensors + global context" in capsys.readouterr().out
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before
    assert main(["detect", "evaluate", str(run / "model.safetensors"), str(other), *CPU]) == 0
    members = read_json(run / "evaluations.json")[-1]["members"]
    assert members == ["run", "run/other.safetensors"]


def test_the_ablation_prints_table_9s_rows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(place / "plain"), str(place / "context")]
    assert main(["detect", "evaluate", *runs, "--ablation", *CPU]) == 0
    rows = [line.rsplit("  ", 1)[0].strip() for line in capsys.readouterr().out.splitlines()]
    start = rows.index("plain")
    assert rows[start : start + 4] == [
        "plain",
        "plain + box refinement",
        "context + box refinement + global context",
        "context + box refinement + global context + multi-scale",
    ]
    noted = [tuple(each["improvements"]) for each in read_json(place / "context/evaluations.json")]
    assert noted == [
        ("global context",),
        ("box refinement", "global context"),
        ("box refinement", "global context", "multi-scale"),
    ]
    assert main(["detect", "evaluate", runs[0], runs[0], "--ablation", *CPU]) == 0
    said = capsys.readouterr()
    assert "no row for global context" in said.err
    assert "ensemble of 2 + box refinement + multi-scale" in said.out
    assert read_json(place / "plain/evaluations.json")[-1]["members"] == ["plain", "plain"]


def test_perfect_results_score_100(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, test_set = tiny_sets(tmp_path / "cells")
    write_voc(tmp_path / "results", test_set, truth_as_found(test_set), "test")
    file = ["--results", str(tmp_path / "results"), "--on", "test"]
    assert main(["detect", "evaluate", *file, "--data", str(tmp_path / "cells")]) == 0
    assert ["cat", "100.0"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_annotations_that_cannot_be_right_are_left_out_if_asked(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = [("cat", (4, 5, 40, 34)), ("cat", (7, 7, 7, 7))]
    voc_folder(tmp_path / "flawed", {"test": {"b0": voc_xml(60, 40, objects)}})
    command = ["detect", "evaluate", str(place / "plain"), "--data", str(tmp_path / "flawed"), *CPU]
    assert main(command) == 2
    assert "object 2: of zero size" in capsys.readouterr().err
    assert main([*command, "--bad-boxes", "skip"]) == 0
    assert "1 object of zero size left out" in capsys.readouterr().err


def test_pictures_of_another_size_are_told_before_the_work(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny_voc(tmp_path / "cells")
    for name in ("a1", "b1"):
        Image.new("RGB", (30, 20)).save(data / f"JPEGImages/{name}.jpg")
    evaluate = ["detect", "evaluate", str(place / "plain"), "--data", str(data), *CPU]
    command = ["detect", "train", "resnet18", "--on", str(data), "--schedule", "joint", *CPU, *SET]
    command += ["--steps", "1", "--out", str(tmp_path / "run")]
    for each in (evaluate, command):
        assert main(each) == 2
        assert "b1.jpg is 30×20 pixels" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main([*command, "--bad-boxes", "skip"]) == 0
    said = capsys.readouterr().err
    assert "cells test: 1 of 3 images left out, of other sizes than annotated" in said
    assert "cells trainval: 1 of 4 images left out" in said
    assert main(["detect", "train", "--resume", str(tmp_path / "run"), *CPU]) == 0


def test_coco_2017_can_be_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects = [
        {"bbox": [10, 5, 20, 15], "category_id": 7},
        {"bbox": [1, 1, 0, 9], "category_id": 7},
    ]
    for split in ("train2017", "val2017"):
        coco_folder(tmp_path / "coco", split, {1: objects, 2: objects}, {7: "cat"})
    data = ["--data", str(tmp_path / "coco")]
    command = ["detect", "train", "resnet18", "--on", "coco2017", *data, "--schedule", "joint"]
    command += ["--steps", "1", *CPU, *SET, "--set", "batch_size=1", "--out", str(tmp_path / "run")]
    assert main(command) == 2
    assert "--bad-boxes skip" in capsys.readouterr().err
    assert main([*command, "--bad-boxes", "skip"]) == 0
    shown = capsys.readouterr()
    assert "on COCO 2017 val" in shown.out
    assert "COCO 2017 train: 2 objects of zero size left out" in shown.err
    run = read_run(tmp_path / "run")
    assert run.meta["recipe"]["bad_boxes"] == "skip"
    assert "COCO 2017 train" in run.condition  # never the paper's
    assert main(["detect", "train", "--resume", str(tmp_path / "run"), "--bad-boxes", "skip"]) == 2
    assert "--bad-boxes is for new runs" in capsys.readouterr().err


def test_masks_go_all_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """COCO's layout: masks are trained, tested, drawn, written, and scored from the file."""
    outline = [[10, 5, 30, 5, 30, 20, 10, 20]]
    objects = [{"bbox": [10, 5, 20, 15], "category_id": 7, "segmentation": outline}]
    for split in ("train2014", "val2014"):
        coco_folder(tmp_path / "coco", split, {1: objects, 2: objects}, {7: "cat"})
    data = ["--data", str(tmp_path / "coco")]
    command = ["detect", "train", "resnet18", "--on", "coco", *data, "--schedule", "joint"]
    run, masks = str(tmp_path / "run"), ["--set", "masks=true", "--set", "batch_size=2"]
    assert main([*command, "--steps", "2", *CPU, *SET, *masks, "--out", run]) == 0
    (trained, *_) = RunFolder(tmp_path / "run").read_events()
    assert trained["loss_mask"] > 0
    capsys.readouterr()
    assert (
        main(["detect", "evaluate", run, *CPU, "--save-submission", str(tmp_path / "found")]) == 0
    )
    assert "masks @[.5, .95] (%)" in capsys.readouterr().out
    noted = read_json(tmp_path / "run/evaluations.json")[-1]
    file = tmp_path / "found/detections_val2014_deepres_results.json"
    assert main(["detect", "evaluate", "--results", str(file), "--on", "coco2014-val", *data]) == 0
    keys = ("map_50_pct", "map_pct", "mask_map_50_pct", "mask_map_pct")
    assert {f"{noted[key]:.1f}" for key in keys} <= {*capsys.readouterr().out.split()}
    picture = tmp_path / "coco/val2014/000000000001.jpg"
    out = ["--out", str(tmp_path / "drawn"), "--min-score", "0"]
    assert main(["detect", "predict", run, str(picture), "--device", "cpu", *out]) == 0
    described = read_json(tmp_path / "drawn/000000000001.json")
    assert all(each["mask"]["size"] == [40, 60] for each in described["objects"])


def test_predict_does_not_replace_the_picture_that_it_reads(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "street.png"
    theirs.write_bytes(b"theirs")
    command = ["detect", "predict", str(place / "plain"), str(theirs), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert f"{theirs} would replace an image that is read" in capsys.readouterr().err
    assert theirs.read_bytes() == b"theirs"


@pytest.mark.parametrize("ending", ["json", "png"])
def test_predict_replaces_only_what_it_has_written_itself(
    ending: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A photograph has its annotation beside it; long colour profiles do not hide that we drew."""
    profile = random.Random(0).randbytes(9_000)
    Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg", icc_profile=profile)
    (tmp_path / "b").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "b/a.jpg")
    theirs = tmp_path / f"a-2.{ending}"
    theirs.write_bytes(b"theirs")
    images = [str(tmp_path / "a.jpg"), str(tmp_path / "b/a.jpg")]
    command = ["detect", "predict", str(place / "plain"), *images, "--device", "cpu"]
    command += ["--out", str(tmp_path)]
    assert main(command) == 2
    assert f"{theirs} is there already, and was not written by" in capsys.readouterr().err
    assert theirs.read_bytes() == b"theirs"
    assert not (tmp_path / "a.json").exists()  # it is said before any work
    theirs.unlink()
    assert main(command) == 0
    assert main(command) == 0  # these are ours now
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.info["Software"] == "deepres"
        drawn.load()


def test_predict_draws_and_writes(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Detections(
        torch.tensor([[4.0, 5, 40, 34], [1, 1, 9, 9]]),
        torch.tensor([0.9, 0.3]),
        torch.ones(2).long(),
    )
    monkeypatch.setattr("deepres.detection.inference.detect", lambda *given: [found])
    images = [place / "cells/JPEGImages/b0.jpg", tmp_path / "b0.jpg", tmp_path / "broken.jpg"]
    Image.new("RGB", (60, 40)).save(images[1])
    images[2].write_bytes(b"no image")
    out = tmp_path / "out"
    command = ["detect", "predict", str(place / "plain"), *map(str, images), "--device", "cpu"]
    assert main([*command, "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert "1 of 3 files could not be read" in said.err
    assert ["cat", "90.0", "%", "4", "5", "40", "34"] in [
        li.split() for li in said.out.splitlines()
    ]
    assert sorted(path.name for path in out.iterdir()) == [
        *("b0-2.json", "b0-2.png", "b0.json", "b0.png")
    ]
    described = json.loads((out / "b0.json").read_text())
    assert_documented(described)
    assert described["weights"] == str(place / "plain")
    assert (described["width"], described["height"]) == (60, 40)
    assert described["objects"] == [
        {"class": "cat", "score": pytest.approx(0.9), "box": [4.0, 5.0, 40.0, 34.0]}
    ]
    with Image.open(out / "b0-2.png") as drawn:  # black, but for what was drawn
        assert drawn.convert("L").getextrema()[1] > 100


@pytest.mark.parametrize(
    ("scores", "words"),
    [([0.31, 0.2], "; the surest is cat, 0.310\n"), ([], ", nor with more than 0\n")],
)
def test_predict_says_its_threshold_where_it_finds_nothing(
    scores: list[float],
    words: str,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    count = len(scores)
    everything = Detections(torch.ones(count, 4), torch.tensor(scores), torch.ones(count).long())
    monkeypatch.setattr("deepres.detection.inference.detect", lambda *given: [everything])
    image = place / "cells/JPEGImages/b0.jpg"
    command = ["detect", "predict", str(place / "plain"), str(image), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    expected = f"{image}: nothing found with a score of 0.5 or more (--min-score){words}"
    assert capsys.readouterr().out == expected
    assert json.loads((tmp_path / "b0.json").read_text())["objects"] == []


def test_predict_shrinks_what_would_take_all_memory(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[torch.Size] = []

    def detect(detectors: object, images: list[torch.Tensor], improvements: object):
        seen.append(images[0].shape)
        mask = torch.zeros(1, *images[0].shape[1:], dtype=torch.bool)
        mask[:, 5:10, 4:8] = True
        boxes = torch.tensor([[4.0, 5, 8, 10]])
        return [Detections(boxes, torch.tensor([0.9]), torch.ones(1).long(), mask)]

    monkeypatch.setattr("deepres.detection.inference.detect", detect)
    monkeypatch.setattr("deepres.cli.picture_files.MOST_PIXELS", 60 * 40 // 4)
    Image.new("RGB", (60, 40)).save(tmp_path / "large.png")
    command = ["detect", "predict", str(place / "plain"), str(tmp_path / "large.png")]
    assert main([*command, "--device", "cpu", "--out", str(tmp_path / "out")]) == 0
    assert seen == [(3, 20, 30)]
    assert "large.png is large: objects are found and drawn on 30×20" in capsys.readouterr().err
    described = json.loads((tmp_path / "out/large.json").read_text())
    assert_documented(described)
    assert (described["width"], described["height"]) == (60, 40)
    (found,) = described["objects"]
    assert found["box"] == [8.0, 10.0, 16.0, 20.0]
    assert found["mask"]["size"] == [40, 60]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train", "name either a network, e.g. deepres detect train resnet101"),
        ("train resnet18 --resume plain", "name either a network"),
        ("train resnet18", "name the data set to train on: --on voc07+12"),
        ("train resnet18 --on voc12", "unknown detection data set 'voc12'; did you mean voc07"),
        ("train resnet18 --on coco --data nowhere", "nowhere: no such folder"),
        ("train resnet18 --on cells --data cells", "--on cells is the folder of the data already"),
        ("train resnet18 --on cells --steps 3", "the 4-step schedule needs at least 4 steps"),
        ("train resnet18 --on cells --set schedule=joint", "use --schedule"),
        ("train resnet18 --on cells --set test_set=val", "unknown detection set 'val'"),
        (
            "train resnet18 --on halves",
            "halves has no list test, but train, val; to train, say which: --set train_set=",
        ),
        ("train resnet20 --on cells", "no detector can be built on resnet20"),
        ("train resnet33 --on cells", "no network resnet33"),
        # Before any annotations are read.
        ("train resnet20 --on coco --data cells", "no detector can be built on resnet20"),
        ("train resnet34 --on coco --data cells --weights plain", "holds resnet18, but the recipe"),
        ("train resnet18 --on coco --out /proc/nowhere/run", "cannot write /proc/nowhere/run"),
        ("train resnet18 --on cells --weights nowhere", "nowhere: no such file or folder"),
        ("train resnet34 --on cells --weights plain", "holds resnet18, but the recipe is for"),
        (
            "train resnet18 --on cells --weights plain --bad-boxes skip",
            "to start from it, add --set anchor_sizes=16,32 --set rpn_channels=16",
        ),
        ("train --resume nowhere", "nowhere: no such run folder"),
        ("train --resume plain --on cells", "--on is for new runs"),
        ("train resnet18 --on no/such", "no/such: no such folder"),
        ("train resnet18 --on folder", "--on folder stands for a folder in VOC"),
        ("train resnet18 --on coco --weights nowhere", "nowhere: no such file or folder"),
        (f"train resnet18 --on coco --seed {2**64}", "the seed must be from -2^63 to 2^63"),
        ("train --resume plain --schedule joint", "--schedule is for new runs"),
        ("evaluate --results found --refine", "--results scores a file as it is"),
        ("train --resume plain --set lr=1", "--set is for new runs"),
        ("train --resume plain --data other", "other: no such folder"),
        ("evaluate", "name either runs to test, or a results file by --results"),
        ("evaluate nowhere", "nowhere: no such file or folder"),
        ("evaluate plain --ablation --refine", "--ablation chooses the improvements itself"),
        ("evaluate plain --on val", "unknown detection set 'val'"),
        ("evaluate --results found", "it is not known what to test on"),
        ("evaluate --results found --on test", "where is test? Give its folder by --data"),
        ("evaluate --results found --on test --data cells", "found: no such folder"),
        ("predict nowhere a.png", "nowhere: no such file or folder"),
        ("predict plain a.png --min-score 2", "--min-score must be in [0, 1], got 2.0"),
        ("predict plain a.png", "1 of 1 files could not be read"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    arguments: str,
    message: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    assert main(["detect", *arguments.split()]) == 2
    lines = [li for li in capsys.readouterr().err.splitlines() if li.startswith("deepres: ")]
    assert message in lines[-1]
    assert sorted(place.rglob("*")) == before  # a mistake leaves nothing behind


@pytest.mark.parametrize("command", ["train --resume", "batchnorm", "responses"])
def test_a_detectors_run_is_no_classifiers(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place / "plain"
    assert main([*command.split(), str(run)]) == 2
    assert f"{run} trains a detector; use deepres detect train" in capsys.readouterr().err


def test_images_that_are_not_public_are_for_the_server(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voc_folder(tmp_path / "VOC2012", {"test": {"x": None}})
    command = ["detect", "evaluate", *CPU, "--on", "voc2012-test", "--data", str(tmp_path)]
    assert main([*command, str(place / "plain")]) == 2
    assert "plain finds 1 classes (cat), but VOC 2012 test has 20" in capsys.readouterr().err

    detector = create_detector("resnet18", VOC_CLASSES, tiny_recipe().detector)
    save_detector(tmp_path / "voc.safetensors", detector, {})
    command.append(str(tmp_path / "voc.safetensors"))
    assert main(command) == 2
    assert "what is on the images of VOC 2012 test is not public" in capsys.readouterr().err
    assert main([*command, "--save-submission", str(tmp_path / "results")]) == 0
    assert len(list((tmp_path / "results").glob("comp4_det_test_*.txt"))) == 20
    assert "mAP" not in capsys.readouterr().out


def test_an_ensemble_trained_on_train_and_val_finds_what_cocos_server_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Table 9's test-dev in miniature."""
    monkeypatch.chdir(tmp_path)
    objects = [{"bbox": [10, 5, 20, 15], "category_id": 7}]
    for split, image in (("train2014", 1), ("val2014", 2)):
        coco_folder(tmp_path / "coco", split, {image: objects}, {7: "cat"})
    coco_test_dev(tmp_path / "coco", [30, 40], {7: "cat"})
    command = ["detect", "train", "resnet18", "--on", "coco-trainval", "--schedule", "joint"]
    for seed in ("0", "1", "2"):
        assert main([*command, "--steps", "1", "--seed", seed, *CPU, *SET]) == 0
    assert "resnet18 detector: no test, 1 step" in capsys.readouterr().out
    name = "-".join(["runs/resnet18-coco-trainval-joint", *TINY, "1steps"])
    runs = [f"{name}-s{seed}" for seed in (0, 1, 2)]
    meta = RunFolder(Path(runs[0])).read_meta()
    assert (meta["data"]["source"], meta["data"]["images"]) == ("COCO 2014 trainval", 2)

    on = ["--on", "coco-test-dev", *CPU]
    assert main(["detect", "evaluate", *runs, *on]) == 2
    assert "of COCO 2015 test-dev is not public; give --save-submission" in capsys.readouterr().err
    assert main(["detect", "evaluate", *runs, *on, "--refine", "--save-submission", "out"]) == 0
    said = capsys.readouterr()
    assert "ensemble of 3 + box refinement" in said.err
    assert "mAP" not in said.out
    entries = read_json(tmp_path / "out/detections_test-dev2015_deepres_results.json")
    assert {entry["image_id"] for entry in entries} == {30, 40}
    assert {entry["category_id"] for entry in entries} == {7}
    assert not (Path(runs[0]) / "evaluations.json").exists()


def test_imagenet_det_is_trained_on_train_and_val1_and_tested_on_val2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zebra = voc_xml(60, 40, [("n02391049", (4, 5, 40, 34))])
    lists = {"train_200": "t/a", "val1": "b", "val2": "c"}
    for name, image in lists.items():
        place = name.rstrip("012").rstrip("_")
        for path, content in (
            (f"ImageSets/DET/{name}.txt", f"{image} 1\n"),
            (f"Annotations/DET/{place}/{image}.xml", zebra),
        ):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
        picture = tmp_path / f"Data/DET/{place}/{image}.JPEG"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40)).save(picture)
    command = ["detect", "train", "resnet18", "--on", "imagenet-det", "--data", str(tmp_path)]
    run = ["--steps", "4", *CPU, *SET, "--out", str(tmp_path / "run")]
    assert main([*command, *run]) == 0
    assert "on ImageNet DET val2, 4 steps, shortened from 1,280,000" in capsys.readouterr().out
    meta = RunFolder(tmp_path / "run").read_meta()
    assert (meta["data"]["source"], meta["data"]["images"]) == ("ImageNet DET train + val1", 2)
    (noted,) = read_json(tmp_path / "run/evaluations.json")
    assert (noted["set"], noted["rule"]) == ("ImageNet DET val2", "imagenet-det")
    assert len(meta["network"]["classes"]) == 200

    (tmp_path / "ImageSets/DET/val2.txt").unlink()
    assert main([*command, "--out", str(tmp_path / "other")]) == 2
    assert "put val1.txt and val2.txt from R-CNN's code" in capsys.readouterr().err


def test_without_torchvision_it_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['torchvision'] = sys.modules['pycocotools'] = None\n"
        "from deepres.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    tiny_voc(tmp_path / "cells")
    command = ["detect", "train", "resnet18", "--on", str(tmp_path / "cells"), "--steps", "4"]
    done = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "deepres: detection needs the package torchvision; run: pip install 'deepres[detection]'"
    )


def test_an_unfinished_run_says_how_to_finish_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_detection_run(tmp_path, stopped_at=0)
    assert main(["detect", "evaluate", str(tmp_path)]) == 2
    assert f"finish it: deepres detect train --resume {tmp_path}" in capsys.readouterr().err
