import json
from pathlib import Path

import pytest
from small_imagenet import Ilsvrc2012

from deepres.cli import imagenet
from deepres.cli.main import main


@pytest.fixture(autouse=True)
def small(ilsvrc2012: Ilsvrc2012, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "ILSVRC2012", ilsvrc2012.counts)
    monkeypatch.chdir(tmp_path)


def test_prepare_then_verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = "ImageNet is complete in data/imagenet: 15 training, 6 validation, 4 test images, "
    assert main(["data", "imagenet", "prepare", "official"]) == 0
    shown = capsys.readouterr()
    assert shown.out == whole + "3 classes\n"
    assert "unpack train (classes) 3/3  ETA 0:00:00" in shown.err
    assert "not compared with anything: --md5 compares" in shown.err
    listed = json.loads(Path("data/imagenet/ilsvrc2012.json").read_text())
    assert listed["n02000000"] == {"id": 2, "words": "thing 2, Res 2", "train_images": 4}

    assert main(["data", "imagenet", "verify"]) == 0
    assert capsys.readouterr().out == whole + "3 classes\n"

    def one_bad(folders: list[Path], suffix: str) -> list[str]:
        return [f"{next(folders[-1].glob(f'*{suffix}')).parent} has a bad one"]

    monkeypatch.setattr(imagenet, "undecodable", one_bad)
    assert main(["data", "imagenet", "verify", "--decode"]) == 2
    errors = capsys.readouterr().err
    assert "\ndata/imagenet/test has a bad one\n" in errors
    assert errors.splitlines()[-1] == (
        "deepres: data/imagenet is not ImageNet as it should be, for the reason above; delete the "
        "folders of classes that are damaged or incomplete, then run: "
        "deepres data imagenet prepare SOURCE --data data/imagenet"
    )


def test_prepare_counts_in_the_end(
    ilsvrc2012: Ilsvrc2012, capsys: pytest.CaptureFixture[str]
) -> None:
    del ilsvrc2012.train["n01000000"]["n01000000_7.JPEG"]
    ilsvrc2012.write_train(ilsvrc2012.train)
    assert main(["data", "imagenet", "prepare", "official", "--data", "there"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-3:-1] == [
        "there/train has too few or too many images of some classes: n01000000 has 4, expected 5",
        "there/train has 14 images, expected 15",
    ]
    assert "for the 2 reasons above" in lines[-1]


def test_ctrl_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(imagenet, "prepare_imagenet", interrupted)
    assert main(["data", "imagenet", "prepare", "official"]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
