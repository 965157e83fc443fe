"""deepres predict with weights and images as a user names them; weights by name elsewhere."""

import csv
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10
from deepres.data.images import open_image
from deepres.data.named_images import named_images
from deepres.models import load_classifier
from deepres.pretrained import find_weights
from deepres.run_places import results_folder

CPU = ("--device", "cpu")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def pictures(tmp_path: Path, sample: Cifar10, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Twenty test images, as files in nested folders; the working folder is the one above."""
    monkeypatch.chdir(tmp_path)
    names = []
    for i in range(20):
        name = Path("pictures", "ab"[i % 2], f"{i:02}.png")
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample.test.images[50 * i].permute(1, 2, 0).numpy()).save(name)
        names.append(str(name))
    return sorted(names)


@pytest.fixture
def address(pictures: list[str]) -> Iterator[str]:
    handler = partial(Quiet, directory=".")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_networks_name_is_enough(pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "resnet20", pictures[0], *CPU]) == 0
    shown = capsys.readouterr()
    assert "resnet20: the run resnet20-s0: 64,000 steps" in shown.err
    assert shown.out.splitlines()[1].split() == ["class", "probability"]


def test_a_folder_as_csv_and_as_json(
    pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = load_classifier(find_weights("resnet20"))
    images = [np.asarray(open_image(Path(name))) for name in pictures]
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    best = classifier(batch).softmax(1).max(1)
    assert main(["predict", "resnet20", "pictures", "--csv", "--top", "2", *CPU]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["image"] for row in rows[::2]] == pictures  # more than a batch, in order
    assert [row["rank"] for row in rows] == ["1", "2"] * 20
    assert [row["class"] for row in rows[::2]] == [classifier.classes[i] for i in best.indices]
    found = torch.tensor([float(row["probability"]) for row in rows[::2]])
    torch.testing.assert_close(found, best.values.detach(), atol=1e-4, rtol=0)
    assert main(["predict", "resnet20", "pictures", "--json", "--top", "2", *CPU]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["weights"] == "resnet20"
    assert [image["image"] for image in told["images"]] == pictures
    again = [c["class"] for image in told["images"] for c in image["classes"]]
    assert again == [row["class"] for row in rows]


def test_what_is_no_image_of_a_folder_is_passed_over(
    pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("pictures")
    (folder / "._00.png").write_bytes(b"what macOS notes of a file")
    (folder / ".thumbnails").mkdir()
    shutil.copy(pictures[0], folder / ".thumbnails")
    (folder / "album.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "notes.txt").write_text("beside them")
    assert main(["predict", "resnet20", "pictures", "--json", *CPU]) == 0
    shown = capsys.readouterr()
    assert [image["image"] for image in json.loads(shown.out)["images"]] == pictures
    assert "pictures: 1 files are passed over" in shown.err
    assert "pictures: passed over, as they are no files: pictures/pipe.png" in shown.err


def test_web_addresses_and_standard_input(
    pictures: list[str],
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = io.BytesIO(Path(pictures[0]).read_bytes())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=content))
    subjects = [pictures[0], f"{address}/{pictures[0]}", "-"]
    assert main(["predict", "resnet20", *subjects, "--json", *CPU]) == 0
    images = json.loads(capsys.readouterr().out)["images"]
    assert [image["image"] for image in images] == subjects
    assert images[0]["classes"] == images[1]["classes"] == images[2]["classes"]


def test_closed_standard_input_is_named_and_the_rest_is_done(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)  # as Python has it then
    assert main(["predict", "resnet20", "-", pictures[0], "--json", *CPU]) == 2
    shown = capsys.readouterr()
    assert "deepres: standard input is closed; send an image into it, or name a file" in shown.err
    assert [image["image"] for image in json.loads(shown.out)["images"]] == pictures[:1]


def test_an_address_may_be_longer_than_a_files_name() -> None:
    address = f"https://example.org/{'x' * 300}"
    assert list(named_images([address], print)) == [address]


def test_an_address_may_have_any_letters(
    pictures: list[str], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("猫 & café.png").write_bytes(Path(pictures[0]).read_bytes())
    given = f"{address}/猫 & café.png?größe=1#oben"
    assert (
        main(["predict", "resnet20", given, f"{address}/pictures/%61/00.png", "--json", *CPU]) == 0
    )
    assert len(json.loads(capsys.readouterr().out)["images"]) == 2


def test_what_cannot_be_read_is_named_and_the_rest_is_done(
    pictures: list[str],
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("a.png").write_bytes(b"no image")
    subjects = ["a.png", f"{address}/nothing.png", "http://", pictures[0]]
    assert main(["predict", "resnet20", *subjects, "--json", *CPU]) == 2
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)["images"]) == 1
    assert "a.png: not an image that can be read" in shown.err
    assert "nothing.png cannot be fetched: File not found" in shown.err
    assert "3 of 4 images could not be read" in shown.err
    monkeypatch.setattr("deepres.data.named_images.MOST_BYTES", 1 << 10)
    assert main(["predict", "resnet20", f"{address}/{pictures[0]}", *CPU]) == 2
    assert "00.png is larger than 0 MiB" in capsys.readouterr().err
    Path("empty").mkdir()
    assert main(["predict", "resnet20", "empty", *CPU]) == 2
    assert "empty holds no image file (.jpg" in capsys.readouterr().err


def test_evaluate_takes_a_name_and_leaves_what_comes_with_deepres_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(results_folder().rglob("*"))
    assert main(["evaluate", "plain20-2000steps-s0", "--data", "sample", *CPU]) == 0
    shown = capsys.readouterr()
    assert "plain20: the run plain20-2000steps-s0: 2,000 steps, shortened" in shown.err
    assert sorted(results_folder().rglob("*")) == before
    assert [file.name for file in tmp_path.iterdir()] == ["plain20-2000steps-s0.confusion.png"]


@pytest.mark.parametrize(
    ("command", "made"),
    [
        ("resnet20 --to safetensors", ["resnet20.safetensors"]),
        ("resnet20 --to safetensors --out b.safetensors", ["b.safetensors"]),
        ("--to safetensors resnet20", ["resnet20.safetensors"]),
        ("resnet20 --to huggingface --out out", ["out"]),
    ],
)
def test_export_takes_a_name_and_writes_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, made: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *command.split()]) == 0
    assert [file.name for file in tmp_path.iterdir()] == made


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict resnet50 a.png --weights deepres", "no weights of resnet50 come with deepres"),
        ("predict resnet20 a.png --weights msra", "msra has no weights of resnet20"),
        ("predict plain50-bottleneck a.png", "train it: deepres train plain50-bottleneck"),
        ("evaluate runs/a --weights torchvision", "torchvision has no weights of runs/a"),
        ("localize train resnet18 --weights msra", "msra has no weights of resnet18"),
        ("detect train resnet18 --on voc07+12 --weights msra", "msra has no weights of resnet18"),
    ],
)
def test_mistakes_are_one_line(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "(while cat.png was decoded)"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "(DefaultCPUAllocator: can't"),
    ],
)
def test_full_memory_is_one_line(
    error: Exception,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40)).save("cat.png")

    def fail(*_: object) -> None:
        raise error

    where = "PIL.Image.open" if isinstance(error, MemoryError) else "deepres.cli.predict.predict"
    monkeypatch.setattr(where, fail)
    assert main(["predict", "resnet20", "cat.png", *CPU]) == 2
    assert f"deepres: the device's memory is full {said}" in capsys.readouterr().err
