import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from json_keys import assert_documented
from pictures import image_folder, picture
from runs import on_cpu, train

from deepres.cli import evaluate as cli_evaluate
from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10
from deepres.data.folder import open_image_folder
from deepres.data.imagenet import ImageNetClass, save_classes
from deepres.errors import cannot_write
from deepres.evaluation import protocol
from deepres.evaluation.metrics import validate
from deepres.evaluation.scores import Scores, average, class_scores
from deepres.models import Classifier, build_network, load_classifier, save_weights
from deepres.provenance import provenance
from deepres.recipes import get_recipe
from deepres.run_folder import CONFUSION, EVALUATIONS, EXACT_BN, RunFolder

Evaluated = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, sample: Cifar10) -> list[Path]:
    """Two tiny runs on CIFAR-10's sample."""
    recipe = dataclasses.replace(
        get_recipe("resnet8").scaled_to(12), batch_size=16, eval_every=12, lr=0.01, lr_drops=()
    )
    short = dataclasses.replace(sample, test=sample.test.subset(slice(50)))
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(2):
        train(recipe, folder / f"{seed}", short, seed=seed, device="cpu")
    return [folder / "0", folder / "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("data"), classes=6, train=2, val=3)


@pytest.fixture(scope="module")
def folder_run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A tiny run on a folder of images."""
    recipe = dataclasses.replace(
        get_recipe("resnet18").scaled_to(2),
        **{"batch_size": 4, "crop": 32, "short_side": (36, 40), "mean_images": 4},
    )
    run = tmp_path_factory.mktemp("folder") / "run"
    train(recipe, run, open_image_folder(data), device="cpu", workers=0)
    return run


@pytest.fixture
def evaluated(capsys: pytest.CaptureFixture[str]) -> Evaluated:
    """Evaluate, and return what was printed."""

    def call(*arguments: str | Path, status: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert main(["evaluate", "--device", "cpu", *map(str, arguments)]) == status
        captured = capsys.readouterr()
        return captured.out, captured.err

    return call


def errors_of(name: object, out: str) -> tuple[str, str]:
    (row,) = re.findall(rf"^{re.escape(str(name))} +(\S+) +(\S+) *$", out, re.MULTILINE)
    return row


def computed(err: str) -> bool:
    return re.search(r"^evaluate ", err, re.MULTILINE) is not None


def test_a_run_is_tested_on_its_own_data(
    runs: list[Path], evaluated: Evaluated, sample: Cifar10
) -> None:
    found = validate(load_classifier(runs[0]).eval(), sample.test)
    out, _ = evaluated(runs[0])
    assert errors_of(runs[0], out) == (f"{found.error_pct:.2f}", f"{found.top5_error_pct:.2f}")
    by_class = 100 * (1 - found.confusion.diag() / found.confusion.sum(1))
    for name, error in zip(sample.classes, by_class.tolist(), strict=True):
        assert re.search(rf"^{name} +{error:.2f}$", out, re.MULTILINE)
    assert (runs[0] / "confusion.png").exists()
    again, _ = evaluated(runs[0] / "model.safetensors")
    assert errors_of(runs[0] / "model.safetensors", again) == errors_of(runs[0], out)


def test_a_confusion_matrix_takes_no_other_pictures_place(
    runs: list[Path], evaluated: Evaluated, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs[0], run)
    picture = run / "confusion.png"
    picture.write_text("theirs")
    _, err = evaluated(run, status=2)
    assert f"{picture} is there already, and was not written by deepres" in err
    assert picture.read_text() == "theirs"
    picture.unlink()
    evaluated(run)
    evaluated(run)  # what is there the second time is ours


def test_the_matrix_of_exact_bn_is_set_aside_with_the_other_results(
    runs: list[Path], evaluated: Evaluated, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(runs[0], run.path)
    shutil.copy(run.weights, run.path / EXACT_BN)
    evaluated(run.path / EXACT_BN)
    meta = run.read_meta()
    steps = meta["recipe"]["steps"]
    run.write_meta({**meta, "recipe": {**meta["recipe"], "steps": steps + 1}})
    run.set_tests_aside()
    confusion = [path.name for path in run.path.glob("model.batchnorm.confusion*")]
    assert confusion == [f"model.batchnorm.confusion-{steps}steps.png"]


def test_what_cannot_be_noted_is_printed_before_the_error(
    runs: list[Path], evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        error = OSError(errno.ENOSPC, "No space left on device")
        raise cannot_write(path, error) from error

    monkeypatch.setattr("deepres.evaluation.evaluation_log.write_json", full)
    out, err = evaluated(*runs, status=2)
    for subject in (*runs, "ensemble of 2"):
        assert errors_of(subject, out)
    told = f"deepres: what the test found is not noted: cannot write {runs[0] / EVALUATIONS}: No"
    assert err.count("is not noted") == err.count(told) == 1


def test_a_full_disk_of_the_run_keeps_no_scores_from_being_saved_elsewhere(
    runs: list[Path], evaluated: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*drawn: object) -> None:
        error = OSError(errno.ENOSPC, "No space left on device")
        raise cannot_write(runs[0] / CONFUSION, error) from error

    monkeypatch.setattr(cli_evaluate, "confusion_matrix", full)
    file = tmp_path / "scores.npz"
    out, err = evaluated(runs[0], "--save-scores", file, status=2)
    assert f"cannot write {runs[0] / CONFUSION}: No space" in err
    assert file.exists()
    assert f"scores: {file}" in out


@pytest.mark.parametrize("theirs", ["[{}]", "{}"])
def test_beside_weights_of_no_run_nothing_is_noted(
    folder_run: Path, evaluated: Evaluated, tmp_path: Path, data: Path, theirs: str
) -> None:
    shutil.copy(folder_run / "model.safetensors", tmp_path)
    (tmp_path / "evaluations.json").write_text(theirs)
    evaluated(tmp_path, "--data", data)
    evaluated(tmp_path / "model.safetensors", "--data", data)
    assert (tmp_path / "evaluations.json").read_text() == theirs
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("evaluations.json", "model.confusion.png", "model.safetensors", "scores")
    ]


def test_runs_on_a_read_only_disk_have_a_picture_each(
    runs: list[Path], evaluated: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    for run in runs:
        evaluated(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0.confusion.png",
        "1.confusion.png",
    ]


def test_json(runs: list[Path], evaluated: Evaluated, sample: Cifar10, tmp_path: Path) -> None:
    alone = [errors_of(run, evaluated(run)[0]) for run in runs]
    out, _ = evaluated(*runs, "--json", "--save-scores", tmp_path / "s.npz")
    found = json.loads(out)
    assert_documented(found)
    assert (found["views"], found["images"]) == ("1-crop", 1000)
    assert found["data"] == f"the test images of {sample.source}"
    assert [each["weights"] for each in found["networks"]] == [str(run) for run in runs]
    for each, (error, top5) in zip(found["networks"], alone, strict=True):
        assert (f"{each['top1_error_pct']:.2f}", f"{each['top5_error_pct']:.2f}") == (error, top5)
    mean = sum(each["error_pct"] for each in found["classes"]) / 10  # as many of each class
    assert found["ensemble"]["top1_error_pct"] == pytest.approx(mean)
    assert [each["class"] for each in found["classes"]] == list(sample.classes)
    assert found["files"] == {"scores": str(tmp_path / "s.npz")}
    single = json.loads(evaluated(runs[0], "--json")[0])
    assert single["ensemble"] is None
    assert single["files"] == {"confusion_matrix": str(runs[0] / "confusion.png")}


def test_folding_and_an_ensemble_and_the_cache(
    runs: list[Path], evaluated: Evaluated, tmp_path: Path, sample: Cifar10
) -> None:
    alone = [errors_of(run, evaluated(run)[0]) for run in runs]
    out, err = evaluated(*runs, "--save-scores", tmp_path / "both.npz")
    assert not computed(err)
    assert [errors_of(run, out) for run in runs] == alone
    parts = [np.load(next((run / "scores").glob("model-1-crop-*.npz"))) for run in runs]
    with np.load(tmp_path / "both.npz") as both:
        mean = (parts[0]["scores"] + parts[1]["scores"]) / 2
        np.testing.assert_allclose(both["scores"], mean, atol=1e-6)
        assert both["labels"].tolist() == sample.test.labels.tolist()
        assert both["classes"].tolist() == list(sample.classes)
        error = 100 * (both["scores"].argmax(1) != both["labels"]).mean()
    assert errors_of("ensemble of 2", out)[0] == f"{error:.2f}"
    assert "confusion matrix" not in out  # or the first run's would be replaced
    *_, together = json.loads((runs[0] / EVALUATIONS).read_text())
    assert together["members"] == [run.name for run in runs]
    assert f"{together['top1_error_pct']:.2f}" == f"{error:.2f}"
    evaluated(*runs)  # the same test again
    assert [each.get("members") for each in json.loads((runs[0] / EVALUATIONS).read_text())] == [
        None,
        together["members"],
    ]
    assert all("members" not in each for each in json.loads((runs[1] / EVALUATIONS).read_text()))

    assert not computed(evaluated(runs[0], "--fold")[1])  # it is the default on a CPU
    out, err = evaluated(runs[0], "--no-fold")
    assert computed(err)
    assert errors_of(runs[0], out) == alone[0]

    noted, drawn = (runs[0] / EVALUATIONS).read_text(), (runs[0] / CONFUSION).read_bytes()
    confusion = np.array(json.loads(noted)[-1]["confusion"])
    assert f"{100 * (1 - np.trace(confusion) / confusion.sum()):.2f}" == alone[0][0]
    out, err = evaluated(runs[0], "--precision", "bf16")
    assert computed(err)
    errors = [[float(error) for error in each] for each in (errors_of(runs[0], out), alone[0])]
    assert errors[0] == pytest.approx(errors[1], abs=2)
    assert (runs[0] / EVALUATIONS).read_text() == noted  # it is no result of the run's
    assert (runs[0] / CONFUSION).read_bytes() == drawn
    out, _ = evaluated(runs[0], "--precision", "bf16", "--out", tmp_path / "bf16.png")
    assert f"confusion matrix: {tmp_path / 'bf16.png'}" in out


@pytest.mark.parametrize("views", ["1-crop", "10-crop", "multi-scale"])
def test_all_views_and_the_second_time_from_the_cache(
    folder_run: Path, data: Path, views: str, evaluated: Evaluated, tmp_path: Path
) -> None:
    asked = (folder_run, "--views", views, "--workers", "1", "--save-scores")
    first, err = evaluated(*asked, tmp_path / "1.npz")
    assert computed(err)
    assert f"{views}, 18 images of {data}" in first
    noted = json.loads((folder_run / EVALUATIONS).read_text())[-1]
    own = json.loads((folder_run / "recipe.json").read_text())["data"]["test_fingerprint"]
    assert noted["fingerprint"] == own
    again, err = evaluated(*asked, tmp_path / "2.npz")
    assert not computed(err)
    assert errors_of(folder_run, again) == errors_of(folder_run, first)
    with np.load(tmp_path / "1.npz") as a, np.load(tmp_path / "2.npz") as b:
        about = ["classes", "provenance", "views", "weights"]
        assert sorted(a.files) == sorted([*about, "labels", "names", "scores"])
        assert all(np.array_equal(a[name], b[name]) for name in a.files)
        assert a["labels"].tolist() == [label for label in range(6) for _ in range(3)]
        assert a["scores"].shape == (18, 6)
        assert a["views"] == views
        digest = hashlib.sha256((folder_run / "model.safetensors").read_bytes()).hexdigest()
        assert a["weights"].tolist() == [digest]
        assert json.loads(str(a["provenance"])) == provenance(torch.device("cpu"))


def test_cifar_gets_all_views_too(
    runs: list[Path], evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch, sample: Cifar10
) -> None:
    short = dataclasses.replace(sample, test=sample.test.subset(slice(20)))
    monkeypatch.setattr("deepres.cli.evaluate.open_data", lambda name: short)
    for views in ("10-crop", "multi-scale"):
        out, err = evaluated(runs[1], "--views", views)
        assert computed(err)
        scores = class_scores(load_classifier(runs[1]), short.test, views, on_cpu())
        assert errors_of(runs[1], out)[0] == f"{scores.error_pct():.2f}"


def test_new_weights_are_tested_anew(
    runs: list[Path], folder_run: Path, evaluated: Evaluated, tmp_path: Path, data: Path
) -> None:
    weights = tmp_path / "copy.safetensors"
    weights.write_bytes((folder_run / "model.safetensors").read_bytes())
    assert computed(evaluated(weights, "--data", data)[1])
    classifier = load_classifier(weights)
    with torch.no_grad():
        next(classifier.parameters()).mul_(1.001)
    save_weights(weights, classifier, {})
    assert computed(evaluated(weights, "--data", data)[1])


@pytest.mark.parametrize(
    ("where", "when"), [(cli_evaluate, "load_classifier"), (protocol, "class_scores")]
)
def test_weights_that_are_replaced_meanwhile_leave_nothing_behind(
    folder_run: Path,
    evaluated: Evaluated,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    where: ModuleType,
    when: str,
) -> None:
    left = (EVALUATIONS, "scores", CONFUSION)
    run = shutil.copytree(folder_run, tmp_path / "run", ignore=shutil.ignore_patterns(*left))
    weights = run / "model.safetensors"
    before = hashlib.sha256(weights.read_bytes()).hexdigest()
    work = getattr(where, when)

    def extended_meanwhile(*arguments: object, **settings: object) -> object:
        done = work(*arguments, **settings)
        new = load_classifier(folder_run)
        with torch.no_grad():
            next(new.parameters()).mul_(1.5)
        save_weights(weights, new, {})
        return done

    with monkeypatch.context() as patched:
        patched.setattr(where, when, extended_meanwhile)
        out, err = evaluated(run, "--save-scores", tmp_path / "s.npz")
    assert f"{run}: its weights were replaced during the test" in err
    assert errors_of(run, out) == errors_of(folder_run, evaluated(folder_run)[0])
    assert np.load(tmp_path / "s.npz")["weights"].tolist() == [before]
    assert "confusion matrix" not in out
    assert not any((run / name).exists() for name in left)
    out, err = evaluated(run)
    assert computed(err)
    assert all((run / name).exists() for name in left)


def test_an_ensemble_is_not_noted_if_a_member_is_replaced_meanwhile(
    runs: list[Path], evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copies = [shutil.copytree(run, tmp_path / run.name) for run in runs]
    (copies[0] / EVALUATIONS).unlink(missing_ok=True)

    def replaced_meanwhile(members: Sequence[Scores]) -> Scores:
        shutil.copy(runs[0] / "model.safetensors", copies[1])
        return average(members)

    monkeypatch.setattr(cli_evaluate, "average", replaced_meanwhile)
    _, err = evaluated(*copies)
    assert f"{copies[1]}: its weights were replaced during the test" in err
    (alone,) = json.loads((copies[0] / EVALUATIONS).read_text())
    assert "members" not in alone


def test_other_code_or_hardware_tests_anew(
    folder_run: Path, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(folder_run)
    assert not computed(evaluated(folder_run)[1])
    now = provenance(torch.device("cpu"))
    monkeypatch.setattr(protocol, "provenance", lambda device: now | {"deepres": "0.0.9"})
    assert computed(evaluated(folder_run)[1])


def test_scoring_is_repeatable_on_any_device(
    runs: list[Path], evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[torch.device] = []
    for module in ("execution", "cli.predict"):
        monkeypatch.setattr(f"deepres.{module}.make_repeatable", asked.append)
    evaluated(runs[0])
    picture(40, 40).save(tmp_path / "a.png")
    assert main(["predict", str(runs[0]), str(tmp_path / "a.png"), "--device", "cpu"]) == 0
    assert asked == 2 * [torch.device("cpu")]


def test_imported_weights_are_tested_on_imagenet_where_it_usually_is(
    folder_run: Path,
    data: Path,
    evaluated: Evaluated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / "imported.safetensors", load_classifier(folder_run), {})
    _, err = evaluated("imported.safetensors", status=2)
    assert "does not say what to test on, and there is no data/imagenet; give --data, or" in err
    (tmp_path / "data").mkdir()
    (tmp_path / "data/imagenet").symlink_to(data)
    out, _ = evaluated("imported.safetensors")
    assert "18 images of data/imagenet" in out


@pytest.fixture
def test_images(tmp_path: Path) -> Path:
    """Four of unknown class, the second of which is no image, beside a list of classes."""
    folder = tmp_path / "test"
    folder.mkdir()
    for i in range(4):
        picture(50 + i, 60, i).save(folder / f"ILSVRC2012_test_{i}.JPEG")
    (folder / "ILSVRC2012_test_1.JPEG").write_bytes(b"")
    known = {f"class{i}": ImageNetClass(id=10 + i, words="", train_images=2) for i in range(6)}
    save_classes(tmp_path, known)
    return folder


def test_a_bad_image_stops_or_is_left_out_whatever_was_asked_before(
    folder_run: Path, test_images: Path, evaluated: Evaluated
) -> None:
    asked = (folder_run, "--data", test_images)
    for _ in range(2):  # the second time there are scores from the first
        _, err = evaluated(*asked, status=2)
        assert re.search(r"^deepres: .*test_1\.JPEG: .*--bad-images skip$", err, re.MULTILINE)
        out, err = evaluated(*asked, "--bad-images", "skip")
        assert "left out: ILSVRC2012_test_1.JPEG\n1 of 4 images cannot be decoded" in err
        assert errors_of(folder_run, out) == ("unknown", "unknown")


def test_an_edited_image_is_tested_anew_though_it_keeps_its_size(
    folder_run: Path, test_images: Path, evaluated: Evaluated
) -> None:
    asked = (folder_run, "--data", test_images, "--bad-images", "skip")
    assert computed(evaluated(*asked)[1])
    assert not computed(evaluated(*asked)[1])
    os.utime(test_images / "ILSVRC2012_test_2.JPEG", (0, 0))
    assert computed(evaluated(*asked)[1])


def test_a_submission_has_a_line_for_every_image_or_is_not_written(
    folder_run: Path, test_images: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    asked = (folder_run, "--data", test_images, "--save-submission", tmp_path / "s.txt")
    _, err = evaluated(*asked, "--bad-images", "skip", status=2)
    assert "a submission needs a line for every image" in err
    assert not (tmp_path / "s.txt").exists()

    picture(60, 60).save(test_images / "ILSVRC2012_test_1.JPEG")
    out, _ = evaluated(*asked)
    assert f"submission: {tmp_path / 's.txt'}" in out
    lines = [line.split() for line in (tmp_path / "s.txt").read_text().splitlines()]
    assert len(lines) == 4
    for line in lines:
        assert len({*line}) == 5
        assert {*line} <= {"10", "11", "12", "13", "14", "15"}


def test_what_a_submission_needs_is_looked_up_where_the_images_are_and_before_the_work(
    runs: list[Path],
    folder_run: Path,
    data: Path,
    evaluated: Evaluated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(data, tmp_path / "data/imagenet")
    save_weights(tmp_path / "imported.safetensors", load_classifier(folder_run), {})
    asked = ("imported.safetensors", "--save-submission", tmp_path / "s.txt")
    _, err = evaluated(*asked, status=2)
    assert "data/imagenet/ilsvrc2012.json is missing" in err
    known = {f"class{i}": ImageNetClass(10 + i, "", 2) for i in range(5)}
    save_classes(copy, known)
    _, err = evaluated(*asked, status=2)
    assert "class 'class5' is none of ILSVRC2012's" in err
    assert not (tmp_path / "scores").exists()
    save_classes(copy, known | {"class5": ImageNetClass(15, "", 2)})
    evaluated(*asked)
    assert len((tmp_path / "s.txt").read_text().splitlines()) == 18

    _, err = evaluated(
        runs[0], "--data", "sample", "--save-submission", tmp_path / "s.txt", status=2
    )
    assert "--save-submission is for ImageNet's test images, not for the test images of" in err


def test_a_picture_that_is_not_drawn_is_said(
    folder_run: Path,
    data: Path,
    test_images: Path,
    evaluated: Evaluated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = (folder_run, "--bad-images", "skip", "--out", tmp_path / "a.png")
    _, err = evaluated(*asked, "--data", test_images)
    assert f"no {tmp_path}/a.png: without known classes there is no confusion matrix" in err
    monkeypatch.setattr("deepres.cli.evaluate.CLASSES_KEPT", 5)
    _, err = evaluated(*asked, "--data", data)
    assert f"no {tmp_path}/a.png: of more than 5 classes no matrix is drawn" in err
    assert not (tmp_path / "a.png").exists()


def test_a_folder_that_is_no_run_and_a_negative_number_of_workers_are_said(
    folder_run: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    _, err = evaluated(tmp_path, status=2)
    assert f"{tmp_path} is no run: it has neither recipe.json nor model.safetensors" in err
    _, err = evaluated(folder_run, "--workers", "-1", status=2)
    assert "the number of workers must be 0 or more, got -1" in err


def test_data_with_another_number_of_classes_are_refused(
    folder_run: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    other = image_folder(tmp_path, classes=2, train=1, val=1)
    _, err = evaluated(folder_run, "--data", other, status=2)
    assert f"{folder_run} tells 6 classes apart (class2, class3, class4, class5, class0 and" in err
    assert f"1 more), {other} has 2 (class0, class1); give data of its classes by --data" in err


def renamed(source: Path, file: Path, classes: Sequence[str]) -> Path:
    """Save the same network with other names for its classes."""
    classifier = load_classifier(source)
    classifier.classes = tuple(classes)
    save_weights(file, classifier, {})
    return file


def test_a_network_of_other_classes_is_not_tested_on_cifar(
    evaluated: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepres.cli.evaluate.open_data", None)  # nor is it fetched for that
    for count in (3, 12):
        classes = ("cat", "dog", "owl", "fox", *"abcdefgh")[:count]
        network = build_network("resnet8", num_classes=count)
        file = tmp_path / f"{count}.safetensors"
        save_weights(file, Classifier(network, torch.zeros(3, 1, 1), classes), {})
        for arguments in ([], ["--data", "sample"]):
            _, err = evaluated(file, *arguments, status=2)
            assert f"{file} tells {count} classes apart (owl, " in err
            assert "CIFAR-10 has 10 (airplane, " in err


def test_cifars_classes_go_by_name(
    runs: list[Path], evaluated: Evaluated, sample: Cifar10, tmp_path: Path
) -> None:
    network = Classifier(build_network("resnet8"), torch.zeros(3, 1, 1), sample.classes[::-1])
    with torch.no_grad():
        network.network.get_parameter("fc.bias")[0] += 1e4  # all are trucks to it
    save_weights(tmp_path / "truck.safetensors", network, {})
    out, _ = evaluated(tmp_path / "truck.safetensors", "--data", "sample", "--json")
    errors = {each["class"]: each["error_pct"] for each in json.loads(out)["classes"]}
    assert errors == {name: 0.0 if name == "truck" else 100.0 for name in sample.classes}


def test_a_folders_classes_go_by_name(
    folder_run: Path, data: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    renamed_run = renamed(folder_run, tmp_path / "a.safetensors", [f"class{i}" for i in range(6)])
    right = json.loads(evaluated(renamed_run, "--data", data, "--json")[0])
    # the same network on the same images, whose folders are in another order
    other = tmp_path / "other"
    for part in ("train", "val"):
        for i in range(6):
            shutil.copytree(data / part / f"class{i}", other / part / "fedcba"[i])
    turned = renamed(folder_run, tmp_path / "b.safetensors", "fedcba")
    out, err = evaluated(turned, "--data", other, "--json")
    assert "matched in order" not in err
    found = json.loads(out)
    assert found["networks"][0]["top1_error_pct"] == right["networks"][0]["top1_error_pct"]
    assert [each["class"] for each in found["classes"]] == [*"fedcba"]
    assert [e["error_pct"] for e in found["classes"]] == [e["error_pct"] for e in right["classes"]]


@pytest.mark.parametrize("place", [4, 0])
def test_classes_of_which_some_have_other_names_are_refused(
    folder_run: Path, evaluated: Evaluated, tmp_path: Path, place: int
) -> None:
    other = image_folder(tmp_path, classes=6, train=1, val=1)
    for part in ("val", "train"):
        (other / part / f"class{place}").rename(other / part / "owl")
    _, err = evaluated(folder_run, "--data", other, status=2)
    assert f"{folder_run} tells 6 classes apart (class{place}, " in err
    assert f"{other} has 6 (owl, " in err


def test_classes_that_share_no_name_are_matched_in_order_and_that_is_said(
    folder_run: Path, data: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    right, _ = evaluated(folder_run, "--data", data)
    file = renamed(folder_run, tmp_path / "a.safetensors", "fedcba")
    out, err = evaluated(file, "--data", data)
    assert f"in order: the first is class0 in {data} and f in {file}" in err
    assert errors_of(file, out) == errors_of(folder_run, right)


def turned(weights: Path, file: Path) -> Path:
    """Save the same network with its classes in reverse order."""
    classifier = load_classifier(weights)
    state = dict(classifier.network.state_dict())
    for name in ("fc.weight", "fc.bias"):
        state[name] = state[name].flip(0)
    classifier.network.load_state_dict(state)
    classifier.classes = classifier.classes[::-1]
    save_weights(file, classifier, {})
    return file


def test_the_order_of_a_networks_classes_makes_no_other_images(
    folder_run: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    left = (EVALUATIONS, "scores")
    run = shutil.copytree(folder_run, tmp_path / "run", ignore=shutil.ignore_patterns(*left))
    other = shutil.copytree(run, tmp_path / "other")
    turned(folder_run, other / "model.safetensors")
    own = json.loads((run / "recipe.json").read_text())["data"]["test_fingerprint"]
    evaluated(run, other)
    assert not computed(evaluated(other)[1])
    for each, count in ((run, 2), (other, 1)):
        noted = json.loads((each / EVALUATIONS).read_text())
        assert [test["fingerprint"] for test in noted] == [own] * count


def test_an_ensembles_classes_go_by_name(
    folder_run: Path, data: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    file = turned(folder_run, tmp_path / "turned.safetensors")
    for images in (data, data / "val/class0"):  # of known and of unknown classes
        saved = ["--save-scores", tmp_path / "both.npz"]
        evaluated(folder_run, "--data", images, "--save-scores", tmp_path / "one.npz")
        out, err = evaluated(folder_run, file, "--data", images, *saved)
        assert "matched in order" not in err
        assert errors_of("ensemble of 2", out) == errors_of(folder_run, out)
        with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "both.npz") as both:
            np.testing.assert_allclose(both["scores"], one["scores"], atol=1e-6)
            for each in ("labels", "classes"):
                assert both[each].tolist() == one[each].tolist()
    names = ["owl", *load_classifier(file).classes[1:]]
    other = renamed(folder_run, tmp_path / "other.safetensors", names)
    _, err = evaluated(folder_run, other, "--data", data / "val/class0", status=2)
    assert f"{other} tells 6 classes apart (owl, " in err


def test_an_ensemble_is_tested_on_the_same_images(
    folder_run: Path, data: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    images, run = tmp_path / "images", tmp_path / "run"
    shutil.copytree(data, images)
    shutil.copytree(folder_run, run)
    meta = RunFolder(run).read_meta()
    meta["data"]["location"] = str(images)
    RunFolder(run).write_meta(meta)
    assert "ensemble of 2" in evaluated(folder_run, run)[0]
    changed = next((images / "val/class3").iterdir())
    changed.write_bytes(changed.read_bytes() + b"more")  # of the same name, still an image
    _, err = evaluated(folder_run, run, status=2)
    assert f"{run} would be tested on 18 images of {images}, and {folder_run} on other im" in err
    assert "ensemble of 2" in evaluated(folder_run, run, "--data", data)[0]


def test_members_of_an_ensemble_with_other_class_names_are_said(
    folder_run: Path, data: Path, evaluated: Evaluated, tmp_path: Path
) -> None:
    file = renamed(folder_run, tmp_path / "other.safetensors", "abcdef")
    out, err = evaluated(folder_run, file, "--data", data)
    assert "ensemble of 2" in out
    assert f"matched in order: the first is class0 in {folder_run} and a in {file}" in err
