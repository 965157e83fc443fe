import json
import shutil
from pathlib import Path

import pytest
import torch
from json_keys import assert_documented
from made_up_runs import whole_meta
from PIL import Image
from runs import on_cpu
from safetensors.torch import load_file
from small_localization import RCNN_SETTINGS, SETTINGS, imagenet, tiny_weights, two_classes

import deepres
from deepres.cli.main import main
from deepres.cli.training import tell_moving_averages
from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import open_localization_test
from deepres.detection.drawing import COLORS
from deepres.evaluation.detection import localization_protocol
from deepres.evaluation.detection.localization_protocol import load_network, locate_by
from deepres.models import Classifier, build_network, save_weights
from deepres.recipes import fine_tuned, get_recipe
from deepres.run_folder import RunFolder

TRAIN = ["localize", "train"]
HERE = ["--device", "cpu", "--workers", "0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps on a few pictures, beside its data and weights."""
    folder = tmp_path_factory.mktemp("localize")
    weights = tiny_weights(folder / "weights.safetensors")
    data = two_classes(folder / "tiny")
    given = ["--weights", str(weights), "--data", str(data), "--out", str(folder / "run")]
    assert main([*TRAIN, "resnet8", *given, *settings(SETTINGS), *HERE, "--steps", "3"]) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def rcnns(run: Path) -> list[Path]:
    """Two R-CNNs' runs, on the boxes of one RPN."""
    runs = [run.parent / f"rcnn{seed}" for seed in "01"]
    for seed, rcnn in enumerate(runs):
        given = ["--rpn", str(run), "--data", str(run.parent / "tiny"), "--out", str(rcnn)]
        chosen = [*settings(RCNN_SETTINGS), "--steps", "2", "--seed", str(seed)]
        assert main([*TRAIN, "resnet8", *given, *chosen, *HERE]) == 0
    return runs


def settings(fields: list[str]) -> list[str]:
    return [part for each in fields for part in ("--set", each)]


def evaluate(run: Path, *options: str) -> int:
    return main(["localize", "evaluate", str(run), *options, *HERE])


def test_a_finished_run_is_found_finished(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--resume", str(run), *HERE]) == 0
    captured = capsys.readouterr()
    assert "all 3 steps are done" in captured.err
    assert "resnet8: localization error" in captured.out
    assert "3 steps, shortened from 60,000" in captured.out
    assert "not the paper's: " in captured.out


def test_a_runs_folder_is_called_by_its_settings(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["resnet8", "--rpn", str(run), "--set", "context=14", "--set", "lr=0.04", *HERE]
    named = Path("runs/resnet8-localization-rcnn-context=14-lr=0.04-4000steps-s0")
    named.mkdir(parents=True)
    (named / "recipe.json").touch()
    assert main([*TRAIN, *given, "--steps", "4000", "--bad-boxes", "skip"]) == 2
    assert f"{named} already holds a run" in capsys.readouterr().err


def test_runs_of_both_halves_are_repeated(
    run: Path, rcnns: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for original in (run, rcnns[1]):
        command = [*TRAIN, "--recipe", str(original), *HERE]
        assert main([*command, "--out", str(tmp_path / original.name)]) == 0
        assert f"the same bits as {original / 'model.safetensors'}" in capsys.readouterr().out


def test_somebodys_rcnn_is_repeated_on_their_rpn(
    run: Path, rcnns: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = RunFolder(tmp_path / "theirs")
    meta = RunFolder(rcnns[0]).read_meta()
    original.write_meta({**meta, "rpn": {**meta["rpn"], "file": "elsewhere/rpn"}})
    command = [*TRAIN, "--recipe", str(original.path), *HERE, "--out", str(tmp_path / "again")]
    assert main(command) == 2
    assert "not here: elsewhere/rpn" in (said := capsys.readouterr().err)
    assert said.endswith("give the same by --rpn\n")
    assert main([*command, "--rpn", str(rcnns[0])]) == 2
    assert capsys.readouterr().err.endswith("give the same by --rpn\n")
    assert main([*command, "--rpn", str(run)]) == 0
    theirs, ours = (folder / "model.safetensors" for folder in (rcnns[0], tmp_path / "again"))
    old, new = load_file(theirs), load_file(ours)
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert main([*TRAIN, "--recipe", str(run), *HERE, "--rpn", str(run)]) == 2
    assert "not of an R-CNN; leave out --rpn" in capsys.readouterr().err


def test_errors_are_printed_beside_trivial_boxes_and_noted(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "evaluations.json").unlink(missing_ok=True)
    assert evaluate(run, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert_documented(told)
    assert evaluate(run) == 0  # it takes the place of the first
    table = capsys.readouterr().out
    assert "Tiny-ImageNet val, the true class" in table
    # The largest of the rectangles covers 800 of 4,096 pixels.
    whole = next(line for line in table.splitlines() if line.startswith("the whole image"))
    assert whole.split()[-2:] == ["100.00", "100.00"]
    (noted,) = json.loads((run / "evaluations.json").read_text())
    assert (told["data"], told["views"]) == (noted["set"], noted["views"])
    assert (told["classes"], told["classifiers"]) == ("truth", [])
    by_name = {each["test"]: each for each in told["tests"]}
    assert by_name["the whole image"]["top1_error_pct"] == 100
    assert by_name[str(run)]["top1_error_pct"] == noted["top1_error_pct"]
    result = json.loads((run / "result.json").read_text())
    assert noted.pop("provenance")["device"] == "cpu"
    assert noted == {
        "kind": "localization",
        "set": "Tiny-ImageNet val",
        "fingerprint": RunFolder(run).read_meta()["data"]["test_fingerprint"],
        "images": 5,
        "classes": "ground truth",
        "views": "single-scale",
        "top1_error_pct": result["test_error_pct"],
        "top5_error_pct": result["test_error_pct"],
    }


def test_a_localizer_that_is_replaced_meanwhile_is_not_noted(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("evaluations.json"))

    def replaced_meanwhile(*tested):
        (copy / "model.safetensors").unlink()
        return locate_by(*tested)

    monkeypatch.setattr(localization_protocol, "locate_by", replaced_meanwhile)
    assert evaluate(copy) == 0
    out, err = capsys.readouterr()
    assert "the whole image" in out
    assert f"{copy}: its weights were replaced during the test" in err
    assert not (copy / "evaluations.json").exists()


def test_classes_may_be_predicted(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two classes both are guessed, so that the class is always among the five."""
    views = ["--class-views", "10-crop"]
    assert evaluate(run, "--views", "1-crop") == 0
    assert evaluate(run, "--views", "1-crop", "--classes", "predicted", *views) == 0
    assert "classes predicted by" in capsys.readouterr().out
    truth, predicted = json.loads((run / "evaluations.json").read_text())[-2:]
    assert predicted["classes"] == "predicted"
    assert predicted["classifier"] == f"{run.parent.name}/weights.safetensors"
    assert predicted["class_views"] == "10-crop"
    assert predicted["top5_error_pct"] == truth["top5_error_pct"]
    assert predicted["top1_error_pct"] >= truth["top1_error_pct"]


def test_the_scores_of_deepres_evaluate_are_taken_over(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the box of an image cannot be right, so that it is not tested."""
    data = two_classes(tmp_path / "tiny")
    file = data / "val/val_annotations.txt"
    file.write_text(file.read_text().replace("20\t7\t39\t46", "20\t7\t39\t7"))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes((run.parent / "weights.safetensors").read_bytes())
    given = ["--data", str(data), *HERE]
    assert main(["evaluate", str(weights), "--views", "10-crop", *given]) == 0

    def anew(*given: object, **more: object) -> None:
        raise AssertionError("the images were scored again")

    monkeypatch.setattr("deepres.evaluation.protocol.class_scores", anew)
    predicted = ["--classes", "predicted", "--class-views", "10-crop", "--bad-boxes", "skip"]
    assert evaluate(run, *predicted, "--classifier", str(weights), "--data", str(data)) == 0
    noted = json.loads((run / "evaluations.json").read_text())[-1]
    assert (noted["images"], noted["class_views"]) == (4, "10-crop")


def test_classes_are_predicted_in_data_by_another_path(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    (tmp_path / "link").symlink_to(run.parent / "tiny")
    evaluations = []
    for data in ("tiny", str(tmp_path / "link"), str(run.parent / "tiny")):
        assert evaluate(run, "--classes", "predicted", "--data", data) == 0
        evaluations.append(json.loads((run / "evaluations.json").read_text())[-1])
    assert evaluations[0] == evaluations[1] == evaluations[2]


def test_moving_averages_that_are_frozen_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, exact = tmp_path / "run", tmp_path / "run/model.batchnorm.safetensors"
    RunFolder(run).write_meta(whole_meta(get_recipe("resnet20")))
    network = build_network("resnet8", num_classes=2)
    classifier = Classifier(network, torch.zeros(3, 28, 28), ("a", "b"), crop=28)
    save_weights(run / "model.safetensors", classifier, {})
    tell_moving_averages(run)
    words = f"as in the paper: deepres batchnorm {run}, then --weights {exact}\n"
    assert capsys.readouterr().err.endswith(words)
    save_weights(exact, classifier, {"batch_norm": {}})
    tell_moving_averages(run)
    assert capsys.readouterr().err.endswith(f"as in the paper: --weights {exact}\n")
    save_weights(exact, classifier, {"steps": 4, "batch_norm": {}})  # before it was extended
    tell_moving_averages(run)
    assert capsys.readouterr().err.endswith(words)
    tell_moving_averages(exact)
    assert capsys.readouterr().err == ""
    frozen = fine_tuned("resnet20", files=True).changed(["freeze=conv4_x"])
    RunFolder(run).write_meta(whole_meta(frozen))  # there is nothing for deepres batchnorm to do
    tell_moving_averages(run)
    assert capsys.readouterr().err == ""


def test_an_rcnn_is_evaluated_alone_and_as_an_ensemble(
    rcnns: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = rcnns
    for others in ([], [str(second)]):
        assert evaluate(first, *others) == 0
    table = capsys.readouterr().out
    assert f"\n{first}" in table
    assert "\nensemble of 2" in table
    alone, together = json.loads((first / "evaluations.json").read_text())
    result = json.loads((first / "result.json").read_text())
    assert alone["top1_error_pct"] == result["test_error_pct"]
    assert "members" not in alone
    assert together["members"] == ["rcnn0", "rcnn1"]
    assert not (second / "evaluations.json").exists()


def test_an_ensembles_classes_are_predicted_by_several(rcnns: list[Path]) -> None:
    """By default by the networks that its members began from, each of them once."""
    predicted = ["--classes", "predicted", "--class-views", "1-crop"]
    weights = str(rcnns[0].parent / "weights.safetensors")
    twice = ["--classifier", weights, "--classifier", weights]
    for classifiers in ([], twice):
        assert evaluate(rcnns[0], str(rcnns[1]), *predicted, *classifiers) == 0
    by_one, by_two = json.loads((rcnns[0] / "evaluations.json").read_text())[-2:]
    name = f"{rcnns[0].parent.name}/weights.safetensors"
    assert by_one["classifier"] == name
    assert by_two["classifier"] == f"{name} + {name}"
    assert by_one["top1_error_pct"] == by_two["top1_error_pct"]


def test_what_predicts_the_classes_can_be_given_by_name(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """CIFAR-10's classes are others than the run's, so it gets as far as that."""
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    named = ["--classifier", "resnet20"]
    assert evaluate(run, "--classes", "predicted", *named) == 2
    assert "resnet20-s0 knows other classes than those of" in capsys.readouterr().err
    assert predict(run, tmp_path / "a.png", *named, "--out", tmp_path) == 2
    assert "the classifier knows other classes than the run" in capsys.readouterr().err


def test_an_rcnns_run_is_gone_on_with(
    rcnns: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TRAIN, "--resume", str(rcnns[1]), "--steps", "3", *HERE]) == 0
    captured = capsys.readouterr()
    assert "going on from step 2 of 3" in captured.err
    assert "resnet8: R-CNN's localization error" in captured.out


def test_runs_of_two_kinds_do_not_go_on_at_once(
    run: Path, rcnns: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TRAIN, "--resume", str(run), str(rcnns[0]), *HERE]) == 2
    words = f"{run} trains a localization network, but {rcnns[0]} a localization network's R-CNN; "
    assert f"{words}go on with them one after the other" in capsys.readouterr().err


def test_rpns_are_no_ensemble(
    run: Path, rcnns: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(rcnns[0], str(run)) == 2
    assert "an ensemble is of R-CNNs, each with its RPN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name either a network"),
        (["resnet8"], "give its run's folder or .safetensors file by --weights"),
        (["resnet8", "--resume", "run"], "name either a network"),
        (["--resume", "run", "--seed", "1"], "--seed is for new runs"),
        (["--resume", "run", "--set", "lr=1"], "--set is for new runs"),
        (["--recipe", "run", "--bad-boxes", "skip"], "leave out --bad-boxes"),
        (["--resume", "run", "--rpn", "rpn"], "--rpn is for new runs"),
        (["resnet8", "--rpn", "nowhere", "--seed", str(2**64)], "the seed must be from -2^63"),
        (["resnet8", "--rpn", "x", "--out", "/proc/nowhere/run"], "cannot write /proc/nowhere/run"),
        (["resnet8", "--rpn", "nowhere"], "nowhere: no such file or folder"),
        (["--resume", "nowhere"], "nowhere: no such run folder"),
    ],
)
def test_mistakes_get_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TRAIN, *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_run_goes_on_when_ilsvrcs_list_has_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is tested on the images that it began with, those that the list leaves out as well."""
    names = [f"train/{wnid}/{wnid}_{i}" for wnid in ("n01", "n02") for i in range(2)]
    names += ["val/n01/ILSVRC2012_val_00000001", "val/n02/ILSVRC2012_val_00000002"]
    annotated = {n: ((64, 64), [(n.split("/")[1], (4.0, 10.0, 43.0, 29.0))]) for n in names}
    data, run = imagenet(tmp_path / "data", annotated), tmp_path / "run"
    weights = tiny_weights(tmp_path / "weights.safetensors")
    given = ["--weights", str(weights), "--data", str(data), "--out", str(run)]
    assert main([*TRAIN, "resnet8", *given, *settings(SETTINGS), *HERE, "--steps", "1"]) == 0
    (data / "ILSVRC2015_clsloc_validation_blacklist.txt").write_text("2\n")
    assert main([*TRAIN, "--resume", str(run), *HERE, "--steps", "2"]) == 0
    assert "the run began with all 2 images" in capsys.readouterr().err
    assert RunFolder(run).read_events()[-1]["images"] == 2


def test_a_run_is_announced_only_if_its_images_and_weights_suit_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, weights = two_classes(tmp_path / "tiny"), tiny_weights(tmp_path / "weights.safetensors")
    others = tiny_weights(tmp_path / "others.safetensors", ("n01", "n03"))
    for given, wrong in (
        ([weights], "are small"),
        ([others, *settings(SETTINGS)], f"{others} tells other classes apart"),
    ):
        where = ["--data", str(data), "--out", str(tmp_path / "run")]
        assert main([*TRAIN, "resnet8", "--weights", *map(str, given), *where, *HERE]) == 2
        said = capsys.readouterr().err
        assert wrong in said
        assert "training resnet" not in said


def test_other_weights_are_refused_before_boxes_are_read(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, nowhere = tiny_weights(tmp_path / "weights.safetensors"), str(tmp_path / "nowhere")
    assert main([*TRAIN, "resnet14", "--weights", str(weights), "--data", nowhere]) == 2
    assert f"{weights} is of resnet8, not of resnet14" in capsys.readouterr().err
    assert main([*TRAIN, "resnet8", "--rpn", str(weights), "--data", nowhere]) == 2
    assert f"{weights} holds a classifier, and a localization network is" in capsys.readouterr().err


def test_a_classifiers_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps(whole_meta(get_recipe("resnet18"))))
    assert evaluate(tmp_path) == 2
    assert f"{tmp_path} trains a classifier; use deepres train" in capsys.readouterr().err


def predict(run: Path, *options: object) -> int:
    return main(["localize", "predict", str(run), *map(str, options), "--device", "cpu"])


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("in_folder")
def test_predict_draws_the_box_that_evaluate_would_find(
    run: Path, rcnns: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    test = open_localization_test(run.parent / "tiny")
    images = BoxedImages.of(test)
    for subject in (run, rcnns[0]):
        localizer, _ = load_network(subject, torch.device("cpu"))
        for name, number in (("n01", 0), ("n02", 1)):
            asked = torch.full((len(images), 1), number)
            expected = locate_by([localizer], images, asked, "1-crop", on_cpu(workers=0))
            given = [*images.paths, "--class", name, "--views", "1-crop", "--json"]
            capsys.readouterr()
            assert predict(subject, *given) == 0
            told = json.loads(capsys.readouterr().out)
            assert_documented(told)
            assert told["weights"] == str(subject)
            for each, path, boxes in zip(told["images"], images.paths, expected, strict=True):
                (found,) = each["objects"]
                assert (each["image"], each["width"], found["class"]) == (str(path), 64, name)
                assert found["box"] == pytest.approx(boxes[0].tolist())
                with Image.open(each["picture"]) as drawn:
                    colors = {color for _, color in drawn.getcolors(1 << 20)}
                    assert COLORS[number] in colors


@pytest.mark.usefixtures("in_folder")
def test_predict_replaces_only_what_it_has_written_itself(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (60, 40)).save("a.jpg")
    theirs = Path("a.png")
    theirs.write_bytes(b"theirs")
    words = ["a.jpg", "--class", "n01", "--views", "1-crop", "--out", "."]
    assert predict(run, *words) == 2
    assert "a.png is there already, and was not written by" in capsys.readouterr().err
    assert theirs.read_bytes() == b"theirs"
    theirs.unlink()
    assert predict(run, *words) == 0
    assert predict(run, *words) == 0  # it is ours now


@pytest.mark.usefixtures("in_folder")
def test_predict_takes_the_likeliest_classes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the network that the run began with, or another."""
    paths = sorted((run.parent / "tiny/val/images").iterdir())[:2]
    weights = run.parent / "weights.safetensors"
    guesses = deepres.predict(deepres.load_model(weights), paths, top=2)
    for words in ([], ["--classifier", weights]):
        assert predict(run, *paths, "--top", 2, "--json", *words) == 0
        told = json.loads(capsys.readouterr().out)
        assert_documented(told)
        for each, expected in zip(told["images"], guesses, strict=True):
            found = [(o["class"], pytest.approx(o["probability"])) for o in each["objects"]]
            assert [tuple(guess) for guess in expected] == found
    assert predict(run, *paths) == 0
    shown = capsys.readouterr().out
    name, probability = guesses[1][0]
    assert f"{paths[1]}: drawn in localizations/{paths[1].stem}.png" in shown
    assert [name, f"{100 * probability:.1f}", "%"] == shown.splitlines()[-1].split()[:3]


def test_predict_names_what_cannot_be_read_and_does_the_rest(
    run: Path, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "broken.jpg").write_bytes(b"no image")
    tall = Image.new("RGB", (40, 90), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    tall.save("turned.jpg", exif=exif)
    Image.new("RGB", (40_000, 1)).save("strip.png")
    images = ("broken.jpg", "strip.png", "turned.jpg")
    assert predict(run, *images, "--class", "n01", "--json") == 2
    shown = capsys.readouterr()
    assert "strip.png: too long to be seen whole" in shown.err
    assert "2 of 3 files could not be read" in shown.err
    (found,) = json.loads(shown.out)["images"]
    assert (found["width"], found["height"]) == (90, 40)
    with Image.open(found["picture"]) as drawn:
        assert drawn.width > drawn.height


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.png --class n03", "unknown class 'n03'; did you mean n02 or n01"),
        ("a.png --top 0", "--top must be at least 1, got 0"),
        ("a.png --classifier nowhere", "nowhere: no such file or folder"),
        ("a.png --class n01 --out .", "a.png would replace an image that is read"),
        ("a.png --class n01 --classifier b", "not allowed with argument --class"),
    ],
)
@pytest.mark.usefixtures("in_folder")
def test_predicts_mistakes_get_one_line(
    words: str, message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (60, 40)).save("a.png")
    try:
        status = predict(run, *words.split())
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert [path.name for path in Path().iterdir()] == ["a.png"]


@pytest.mark.usefixtures("in_folder")
def test_the_network_that_predicts_classes_must_be_there_and_know_them(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (60, 40)).save("a.png")
    other = tiny_weights(Path("other.safetensors"), ("n01", "n03"))
    assert predict(run, "a.png", "--classifier", other) == 2
    assert "the classifier knows other classes than the run" in capsys.readouterr().err
    weights = run.parent / "weights.safetensors"
    weights.rename(weights.with_name("away"))
    try:
        assert predict(run, "a.png") == 2
    finally:
        weights.with_name("away").rename(weights)
    said = capsys.readouterr().err
    assert f"began from weights that are not here: {weights.resolve()}" in said
    assert said.endswith(advice := "; name what predicts the classes by --classifier\n")
    as_it_was = weights.read_bytes()
    weights.write_bytes(Path(other).read_bytes())
    try:
        assert predict(run, "a.png") == 2
        assert (said := capsys.readouterr().err).endswith(advice)
        assert f"but {weights.resolve()} has " in said
        assert main(["localize", "evaluate", str(run), "--classes", "predicted"]) == 2
        assert capsys.readouterr().err.endswith(advice)
    finally:
        weights.write_bytes(as_it_was)
