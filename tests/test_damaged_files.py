"""Whatever a file holds, the answer is right or one line that names the file: never a traceback."""

import io
import json
import os
import struct
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from annotated_pictures import coco_folder
from damage import damaged_bytes, damaged_json
from made_up_runs import make_detection_run, make_localization_run, make_run
from safetensors.torch import load_file, save_file

from deepres.checkpoint import load_checkpoint, save_checkpoint
from deepres.cli.main import main
from deepres.data.detection.splits import open_detection_set
from deepres.data.detection.voc_xml import read_annotation
from deepres.data.text_lists import read_lines
from deepres.errors import UserError
from deepres.evaluation.detection.detector_inference import read_results
from deepres.models import Classifier, build_network, load_classifier, save_weights
from deepres.models.exchange.array_pickle import read_arrays
from deepres.models.exchange.caffe import read_binaryproto, read_caffemodel
from deepres.recipes import Recipe, recipe_from_dict
from deepres.report.claim import judge
from deepres.report.claims import CLAIMS
from deepres.report.comparison import recipe_differences, result_differences
from deepres.report.page import render_page
from deepres.report.pictures import svg_text
from deepres.report.read_runs import read_run
from deepres.report.render import Table, as_html, as_text
from deepres.report.runs import Run
from deepres.reproduction.draw import FROM_RUNS
from deepres.run_folder import RunFolder

EACH = 200
"""How many times a file is damaged."""


def failures_of(
    path: Path, contents: Iterable[bytes], use: Callable[[], Any], names: str = ""
) -> list[str]:
    """Use ``path`` with each of ``contents``; return what was no answer and no line that names it.

    Args:
        path: a file, which is as it was at the end.
        contents: damaged ones.
        use: whatever reads it.
        names: what a line must hold; by default the file's name.
    """
    whole, failures = path.read_bytes(), []
    for content in contents:
        path.write_bytes(content)
        try:
            use()
        except UserError as error:
            if "\n" in str(error) or (names or path.name) not in str(error):
                failures.append(f"unclear: {error}")
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}"[:200])
    path.write_bytes(whole)
    return failures


def look_at(runs: list[Run]) -> None:
    """Compare and judge runs, and list them in all tables."""
    for table in (recipe_differences(runs), result_differences(runs)):
        as_text(table)
    for claim in CLAIMS:
        judge(claim, runs)
    for name, shown in FROM_RUNS.items():
        if name.startswith("table"):
            table = shown(runs)
            assert isinstance(table, Table)
            as_text(table)


LAYERS = {"responses": {"layers": ["a", "b"], "std": [1.0, 2.0]}}
LAYERS |= {"signals": {"forward_std": [1.0, 2.0], "gradient_norm": [1.0, 2.0]}}
TESTED = [
    {
        **{"views": "10-crop", "data": "CIFAR-10", "images": 10_000},
        **{"top1_error_pct": 8.0, "top5_error_pct": 1.0},
        "provenance": dict.fromkeys(("deepres", "commit", "torch", "hardware"), "?"),
    }
]
CURVES = {
    "test": "run: 3 images",
    "classes": {"cat": {"recall": [0.1, 0.5], "precision": [1.0, 0.5], "ap_pct": 40.0}},
}


def classifier_run(folder: Path) -> None:
    make_run(folder, evaluations=TESTED, **LAYERS)


def detector_run(folder: Path) -> None:
    make_detection_run(folder, pr_curves=CURVES)


def localizer_run(folder: Path) -> None:
    make_localization_run(folder, errors_pct={("multi-scale", "predicted"): 14.56})


FILES = (
    *((classifier_run, f"{name}.json") for name in ("recipe", "result", "evaluations")),
    *((classifier_run, f"{name}.json") for name in ("responses", "signals")),
    (classifier_run, "metrics.jsonl"),
    *((detector_run, f"{name}.json") for name in ("recipe", "evaluations", "pr_curves")),
    (detector_run, "metrics.jsonl"),
    (localizer_run, "evaluations.json"),
)


@pytest.mark.parametrize(("make", "file"), FILES)
def test_a_runs_files(tmp_path: Path, make: Callable[[Path], None], file: str) -> None:
    make(tmp_path / "run")
    whole = make_run(tmp_path / "whole")

    def use() -> None:
        run = read_run(tmp_path / "run")
        look_at([run] if run.kind == "detection" else [run, whole])
        if file == "recipe.json":
            fields = RunFolder(tmp_path / "run").read_meta()["recipe"]
            recipe_from_dict(fields, Recipe)

    path = tmp_path / "run" / file
    damaged = damaged_json(path.read_bytes(), EACH, seed=len(file))
    failures = failures_of(path, damaged, use, names="run/")
    assert not failures, f"{len(failures)} of {EACH}: {failures[:3]}"


def test_a_page_of_odd_runs(tmp_path: Path) -> None:
    odd: list[Run] = []
    for number, (make, file) in enumerate(FILES):
        path = tmp_path / str(number) / file
        make(path.parent)
        damaged = damaged_json(path.read_bytes(), 6, seed=number)
        failures = failures_of(path, damaged, lambda path=path: odd.append(read_run(path.parent)))
        assert not failures
    assert len(odd) > len(FILES)
    page = render_page(odd)
    assert not [c for c in set(page) if not c.isprintable() and c != "\n"]
    for shown in FROM_RUNS.values():
        drawn = shown(odd)
        as_html(drawn) if isinstance(drawn, Table) else svg_text(drawn)


def test_coco_annotations_and_results(tmp_path: Path) -> None:
    box = {"category_id": 3, "bbox": [10, 10, 40, 20]}
    coco_folder(tmp_path, "some", {7: [box]}, {3: "cat"})
    results = tmp_path / "results.json"
    results.write_text(json.dumps([{"image_id": 7, "score": 0.9, **box}]))

    def use() -> None:
        data = open_detection_set("some", tmp_path, "fail", lambda line: None)
        read_results(results, data).scores()

    for path in (tmp_path / "annotations/instances_some.json", results):
        damaged = damaged_json(path.read_bytes(), EACH, seed=0)
        failures = failures_of(path, damaged, use, path.stem.removeprefix("instances_"))
        assert not failures, f"{len(failures)} of {EACH}: {failures[:3]}"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build_network("resnet8", num_classes=2).eval()
    classifier = Classifier(network, torch.rand(3, 32, 32), ("a", "b"))
    save_weights(tmp_path / "a.safetensors", classifier, {})
    return tmp_path / "a.safetensors"


def test_weights(weights: Path) -> None:
    content = weights.read_bytes()

    def use() -> None:
        images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
        assert load_classifier(weights)(images).isfinite().all()

    failures = failures_of(weights, damaged_bytes(content, EACH, seed=0), use)
    assert not failures, f"{len(failures)} of {EACH}: {failures[:3]}"

    length = struct.unpack("<Q", content[:8])[0]
    header, body = content[8 : 8 + length], content[8 + length :]
    headers = damaged_json(header, EACH, seed=1)
    contents = (struct.pack("<Q", len(each)) + each + body for each in headers)
    failures = failures_of(weights, contents, use)
    assert not failures, f"{len(failures)} of {EACH} headers: {failures[:3]}"

    notes = json.loads(json.loads(header)["__metadata__"]["deepres"])
    tensors = load_file(weights)

    def described(damaged: Iterable[bytes]) -> Iterable[bytes]:
        for each in damaged:
            beside = weights.with_name("beside.safetensors")
            save_file(tensors, beside, {"deepres": each.decode(errors="replace")})
            yield beside.read_bytes()

    damaged = described(damaged_json(json.dumps(notes).encode(), EACH, seed=2))
    failures = failures_of(weights, damaged, use)
    assert not failures, f"{len(failures)} of {EACH} notes: {failures[:3]}"


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool),
        *(torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2),
    ],
)
@pytest.mark.parametrize("name", ["input_mean", "input_std", "conv1.weight", "bn1.running_var"])
def test_weights_of_any_type(weights: Path, name: str, dtype: torch.dtype) -> None:
    whole, notes = load_file(weights), notes_of(weights)
    changed = whole | {name: whole[name].to(dtype)}
    if name == "input_std":
        changed[name] = torch.ones(3, 1, 1).to(dtype)
    save_file(changed, weights, {"deepres": notes})
    if dtype in (torch.float16, torch.bfloat16, torch.float64):
        images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
        assert load_classifier(weights)(images).dtype == torch.float32
    else:
        with pytest.raises(UserError, match=rf"a\.safetensors.* {name} .*{str(dtype)[6:]}"):
            load_classifier(weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a", "b", "c"]}, "names 3 classes for 2 of its network"),
        ({"classes": "ab"}, "of its notes classes is 'ab', expected a list"),
        ({"classes": [1, 2]}, r"of its notes classes\[0\] is 1, expected text"),
        ({"crop": 40}, "cuts 40 pixels out of images of 32"),
        ({"crop": 0}, "of its notes crop is 0, expected a whole number from 1"),
        ({"crop": 32.0}, "of its notes crop is 32.0, expected a whole number"),
        ({"short_side": 10**9}, "of its notes short_side is 1000000000, expected"),
        ({"architecture": ["resnet8"]}, "of its notes architecture is a list, expected an object"),
        ({"architecture": {"name": "resnet9999998"}}, "resnet9999998 is too deep: networks have"),
        ({"architecture": {"name": "resnet8", "num_classes": -1}}, "num_classes is -1, expected"),
        ({"architecture": {"name": "resnet" + "1" * 5000}}, "unknown network"),
    ],
)
def test_notes_that_fit_no_network(weights: Path, change: dict[str, Any], message: str) -> None:
    notes = json.loads(notes_of(weights)) | change
    save_file(load_file(weights), weights, {"deepres": json.dumps(notes)})
    with pytest.raises(UserError, match=rf"a\.safetensors.*{message}"):
        load_classifier(weights)


@pytest.mark.parametrize(
    ("name", "shape"), [("input_mean", (4, 32, 32)), ("input_mean", ()), ("input_std", (3, 2, 1))]
)
def test_preparations_of_other_channels(weights: Path, name: str, shape: tuple[int, ...]) -> None:
    tensors, notes = load_file(weights), notes_of(weights)
    save_file(tensors | {name: torch.ones(shape)}, weights, {"deepres": notes})
    with pytest.raises(UserError, match=rf"a\.safetensors .* {name} has shape .* of 3 channels"):
        load_classifier(weights)


def notes_of(weights: Path) -> str:
    content = weights.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    notes: str = header["__metadata__"]["deepres"]
    return notes


def test_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 3, "model": {"a": torch.rand(4, 4)}, "seconds": 1.5})
    whole = path.read_bytes()
    failures = failures_of(path, damaged_bytes(whole, EACH, seed=0), lambda: load_checkpoint(path))
    assert not failures, f"{len(failures)} of {EACH}: {failures[:3]}"


@pytest.mark.parametrize(
    "state",
    [
        {"a": torch.zeros(1).expand(10**12), "sha256": ""},  # a few bytes on disk, 4 TB in memory
        {"a": [torch.zeros(1).expand(10**9)] * 50, "sha256": ""},
        {"a": torch.eye(2).to_sparse(), "sha256": ""},
        {"a": torch.empty(3, device="meta"), "sha256": ""},
        *([], torch.ones(2), None, {"step": 1}),
    ],
)
def test_hostile_checkpoints(tmp_path: Path, state: Any) -> None:
    content = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.save(state, content)
    (tmp_path / "checkpoint.pt").write_bytes(content.getvalue())
    with pytest.raises(UserError, match=r"checkpoint\.pt is damaged"):
        load_checkpoint(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize(
    "read", [read_lines, read_annotation, read_caffemodel, read_binaryproto, read_arrays]
)
def test_a_pipe_is_not_waited_for(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is no regular file; put one in its place"):
        read(tmp_path / "pipe")


def test_a_checkpoint_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match=r"checkpoint\.pt is no regular file"):
        load_checkpoint(tmp_path / "checkpoint.pt")


def junk(folder: Path) -> dict[str, str]:
    """Make run folders of junk; return what is said of each."""
    said = {}

    def add(name: str, content: bytes | None, words: str, file: str = "recipe.json") -> Path:
        path = folder / name / file
        if file == "recipe.json":
            path.parent.mkdir()
        else:
            make_run(path.parent)
        said[name] = words
        if content is not None:
            path.unlink(missing_ok=True)
            path.write_bytes(content)
        return path

    add("empty", b"", "is not valid JSON")
    add("binary", bytes(range(256)), "is not valid JSON")
    add("list", b"[]", "recipe.json is not as deepres writes it: it is a list, expected an object")
    add("nothing", b"{}", "recipe.json is not as deepres writes it: recipe is missing")
    add("word", b'{"recipe": "resnet20"}', "recipe is 'resnet20', expected an object")
    add("kind", b'{"recipe": {"kind": "cifar10"}}', "recipe.model is missing")
    add("deep", b"[" * 10**5 + b"]" * 10**5, "recipe.json is no JSON that can be read: it is nest")
    nested = b'{"a": ' * 100 + b"1" + b"}" * 100
    add("nested", nested, "recipe.json is not as deepres writes it: it is nested more than 20 deep")
    add("infinite", b'{"recipe": {"kind": "a", "model": "b", "steps": Infinity}}', "steps is inf")
    os.mkfifo(add("pipe", None, "recipe.json is no regular file"))
    add("folder", None, "recipe.json is no regular file").mkdir()
    add("device", None, "recipe.json is no regular file").symlink_to("/dev/zero")
    add("result", b"[1]", "result.json is not as deepres writes it: it is a list", "result.json")
    add("events", b"[]\n", "line 1 of ", "metrics.jsonl")
    add("event", b'{"step": 1}\n', "split is missing", "metrics.jsonl")
    add("tests", b'{"a": 1}', "evaluations.json is not as deepres writes it", "evaluations.json")
    add("curves", b"\xff", "responses.json is not valid JSON", "responses.json")
    return said


def test_one_bad_run_does_not_keep_the_report_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    said = junk(tmp_path / "runs")
    make_run(tmp_path / "runs/whole", "plain20", test_error_pct=12.34)
    assert main(["report", "--runs", "runs"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "report on 1 runs, 1 of them finished: report.html\n"
    lines = [line for line in shown.err.splitlines() if line.startswith("left out: ")]
    assert len(lines) == len(said)
    page = (tmp_path / "report.html").read_text()
    assert "12.34" in page
    for name, words in said.items():
        (line,) = [line for line in lines if f"/runs/{name}/" in line]
        assert words in line
        assert f"/runs/{name}/" in page


@pytest.mark.parametrize(
    "command",
    ["train --resume", "evaluate", "compare whole", "predict --top 1", "responses", "batchnorm"],
)
def test_commands_on_folders_of_junk(
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    junk(tmp_path / "runs")
    make_run(tmp_path / "whole")
    for path in (tmp_path / "runs").iterdir():
        if (path / "metrics.jsonl").exists():
            continue  # its recipe is whole, and says what is missing first
        name = path.name
        more = ["a.png"] if command.startswith("predict") else []
        assert main([*command.split(), f"runs/{name}", *more]) == 2, name
        lines = [li for li in capsys.readouterr().err.splitlines() if li.startswith("deepres: ")]
        assert len(lines) == 1, (name, lines)
        assert f"runs/{name}" in lines[0], lines
