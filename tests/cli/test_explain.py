import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import picture
from PIL import Image

from deepres.cli.main import main
from deepres.errors import UserError
from deepres.evaluation.explain import explain as explanation
from deepres.evaluation.predict import predict
from deepres.models import Classifier, build_network, save_weights

CLASSES = (*(f"class {i}" for i in range(9)), "$\\frac$ and more than there is room for")


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph, and untrained networks of both kinds."""
    monkeypatch.chdir(tmp_path)
    picture(50, 40).save("photo.png")
    for name in ("resnet8", "plain8"):
        torch.manual_seed(0)
        classifier = Classifier(build_network(name), torch.zeros(3, 1, 1), CLASSES)
        save_weights(Path(f"{name}.safetensors"), classifier, {})


def explain(*words: str) -> int:
    return main(["explain", *words, "--device", "cpu"])


@pytest.mark.usefixtures("in_folder")
def test_a_picture_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("resnet8.safetensors", "photo.png") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1].endswith(": photo-explained.png")
    stages = [line.split()[:2] for line in shown if line.startswith("conv")]
    assert stages == [["conv2_x", "1"], ["conv3_x", "1"], ["conv4_x", "1"]]
    with Image.open("photo-explained.png") as drawn:
        assert drawn.width == 1350


@pytest.mark.usefixtures("in_folder")
def test_a_file_of_the_users_is_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photo-explained.png").write_text("mine")
    assert explain("resnet8.safetensors", "photo.png") == 2
    assert "photo-explained.png is there already" in capsys.readouterr().err
    assert Path("photo-explained.png").read_text() == "mine"
    Path("photo-explained.png").unlink()
    assert explain("resnet8.safetensors", "photo.png") == 0
    assert explain("resnet8.safetensors", "photo.png") == 0  # our own is


@pytest.mark.usefixtures("in_folder")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["resnet8.safetensors", "photo.png", "--class", CLASSES[-1], "--json"]
    assert explain(*words, "--top", "99", "--out", "drawn/a.svg") == 0
    told = json.loads(capsys.readouterr().out)
    assert {each["class"] for each in told["classes"]} == {*CLASSES}
    assert told["grad_cam"]["class"] == CLASSES[-1]
    assert torch.tensor(told["grad_cam"]["map"]).shape == (8, 8)
    assert [each["block"] for each in told["blocks"]] == ["layer1.0", "layer2.0", "layer3.0"]
    assert all(0 < each["ratio"] < 100 for each in told["blocks"])
    drawn = Path(told["picture"]).read_text()
    for text in ("‖F(x)‖ / ‖x‖", "conv4_x", r"Grad-CAM: $\frac$ and more than the…"):
        assert text in drawn


def test_of_classes_of_one_name_the_likeliest_is_explained() -> None:
    torch.manual_seed(0)
    network, image = build_network("resnet8"), picture(50, 40)
    named = Classifier(network, torch.zeros(3, 1, 1), CLASSES)
    (best, *_, worst) = predict(named, image, 10)[0]
    same = Classifier(
        network,
        torch.zeros(3, 1, 1),
        tuple("crane" if name in (best.name, worst.name) else name for name in CLASSES),
    )
    heat = explanation(named, image, target=best.name).heat
    assert not np.array_equal(heat, explanation(named, image, target=worst.name).heat)
    assert np.array_equal(explanation(same, image, target="crane").heat, heat)


def test_in_python_mistakes_are_one_line() -> None:
    network: Any = build_network("resnet8")
    classifier, image = Classifier(network, torch.zeros(3, 1, 1), CLASSES), picture(50, 40)
    with pytest.raises(UserError, match="expected a classifier, as load_model returns it, got Res"):
        explanation(network, image)
    number: Any = 3
    with pytest.raises(UserError, match="unknown class 3; there are "):
        explanation(classifier, image, target=number)
    several: Any = [image, image]
    with pytest.raises(UserError, match="one image is explained at a time, got 2"):
        explanation(classifier, several)


@pytest.mark.usefixtures("in_folder")
def test_a_networks_name_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("resnet20", "photo.png", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["weights"] == "resnet20"
    assert len(told["blocks"]) == 9


@pytest.mark.usefixtures("in_folder")
def test_a_plain_network_has_no_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("plain8.safetensors", "photo.png", "--out", "a.svg") == 0
    assert "plain8.safetensors has no residual blocks" in capsys.readouterr().err
    assert "residual block" not in Path("a.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("photo.png --class cow", "unknown class 'cow'"),
        ("photo.png --out a.gif", "--out must end in .png or .svg or .pdf, got a.gif"),
        ("photo.png --out ../here/photo.png", "would replace the image that is read"),
        ("photo.png --top 0", "--top must be at least 1, got 0"),
        ("nothing.png", "nothing.png: no such file"),
    ],
)
@pytest.mark.usefixtures("in_folder")
def test_mistakes_are_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in Path().iterdir()}
    words = words.replace("here", Path().resolve().name)
    assert explain("resnet8.safetensors", *words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert {path: path.read_bytes() for path in Path().iterdir()} == before
