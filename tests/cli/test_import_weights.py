import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors import safe_open

from deepres.cli.main import main
from deepres.models import load_classifier


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), tmp_path / "a.pth")
    return tmp_path / "a.pth"


def test_import_then_predict(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkpoint.parent / "names.txt").write_text("ant\nbee\ncat\n")
    command = f"import resnet18 {checkpoint} --from torchvision --class-names"
    assert main([*command.split(), str(checkpoint.parent / "names.txt")]) == 0
    shown = capsys.readouterr()
    assert "torchvision's resnet18: its shortcuts are of option B" in shown.err
    assert "input: short side 256, crop 224; 3 classes" in shown.err
    assert "the mean 0.485 0.456 0.406 is subtracted, then the std 0.229 0.224 0.225" in shown.err
    assert "bilinearly" not in shown.err
    out = checkpoint.parent / "resnet18-torchvision.safetensors"
    assert str(out) in shown.out
    with safe_open(out, "pt") as file:
        meta = json.loads(file.metadata()["deepres"])
    assert meta["imported"]["source"] == "torchvision"
    assert len(meta["imported"]["sha256"]) == 64

    pixels = np.random.default_rng(0).integers(256, size=(300, 400, 3), dtype=np.uint8)
    photo = checkpoint.parent / "photo.png"
    Image.fromarray(pixels).save(photo)
    assert main(["predict", str(out), str(photo), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    best = shown[shown.index("probability") :].split()[1:3]  # below the columns' names
    # torchvision's own way: the shorter side to 256, the centre, and its network.
    transforms = torchvision.transforms.functional
    square = transforms.center_crop(transforms.resize(Image.fromarray(pixels), 256), 224)
    image = transforms.pil_to_tensor(square)[None]
    theirs = torchvision.models.resnet18(num_classes=3).eval()
    theirs.load_state_dict(torch.load(checkpoint, weights_only=True))
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    with torch.inference_mode():
        x = transforms.normalize(image / 255, mean, std)
        probability, place = theirs(x).softmax(1).max(1)
    assert best[0] == ("ant", "bee", "cat")[place]
    assert float(best[1]) == pytest.approx(100 * probability.item(), abs=0.06)


def test_another_view_is_kept(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = checkpoint.with_name("b.safetensors")
    command = f"import resnet18 {checkpoint} --from timm --crop 288 --short-side 303"
    assert main([*command.split(), "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert "input: short side 303, crop 288" in said
    assert re.search(r"^images are resized bilinearly, whatever .* differ slightly$", said, re.M)
    loaded = load_classifier(out)
    assert (loaded.crop, loaded.short_side) == (288, 303)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("resnet50 FILE --from torchvision", "does not fit the network: "),
        ("resnet50 FILE --from caffe", "a.pth is damaged or no .caffemodel"),
        ("resnet18 FILE --from torchvision --out b.pth", "--out must end in .safetensors"),
        ("resnet18 FILE --from torchvision --crop 257", "crop 257, short side 256"),
        (
            "resnet18 FILE --from torchvision --class-names nowhere",
            "cannot read nowhere: No su",
        ),
        ("resnet18 FILE --from timm --pool ceil", "the pooling of timm's networks is known"),
        ("resnet18 FILE --from openmmlab", "released models are known for resnet50, resnet101,"),
        ("resnet50 FILE --from openmmlab --pool ceil", "a.pth does not fit the network: "),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    checkpoint: Path, options: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", *options.replace("FILE", str(checkpoint)).split()]) == 2
    (line,) = [li for li in capsys.readouterr().err.splitlines() if li.startswith("deepres: ")]
    assert message in line
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_the_file_that_is_read_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "a.safetensors")
    command = ["import", "resnet18", file, "--from", "timm", "--out", file]
    assert main(command) == 2
    assert "would replace the file that is read" in capsys.readouterr().err


def test_a_file_that_nobody_named_is_not_replaced(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = checkpoint.parent / "resnet18-torchvision.safetensors"
    theirs.write_text("theirs")
    command = ["import", "resnet18", str(checkpoint), "--from", "torchvision"]
    assert main(command) == 2
    assert f"{theirs} is there already and would be replaced" in capsys.readouterr().err
    assert theirs.read_text() == "theirs"
    (checkpoint.parent / "names.txt").write_text("ant\nbee\ncat\n")
    assert main([*command, "--class-names", str(checkpoint.parent / "names.txt"), "--force"]) == 0
    assert load_classifier(theirs).classes == ("ant", "bee", "cat")


def test_of_several_networks_in_a_file_one_is_chosen(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(checkpoint, weights_only=True)
    mean = {name: 2 * tensor for name, tensor in state.items()}
    torch.save({"state_dict": state, "state_dict_ema": mean}, checkpoint)
    command = ["import", "resnet18", str(checkpoint), "--from", "timm"]
    assert main(command) == 0
    out = checkpoint.with_name("resnet18-timm.safetensors")
    said = capsys.readouterr().err
    assert (
        "taking state_dict_ema, a moving average of weights; another one by --key: state_" in said
    )
    assert torch.equal(load_classifier(out).network.conv1.weight, mean["conv1.weight"])
    assert main([*command, "--key", "state_dict", "--force"]) == 0
    assert torch.equal(load_classifier(out).network.conv1.weight, state["conv1.weight"])
