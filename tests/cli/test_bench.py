import json
import re
from pathlib import Path

import pytest
from json_keys import assert_documented

from deepres.cli import bench
from deepres.cli.main import main
from deepres.errors import UserError
from deepres.speed.measure import Speed, Timing, Turn
from deepres.speed.profile import Cost
from deepres.speed.work import Work

Asked = list[tuple[Work, Timing, Path | None]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """What is to be measured; the numbers are made up."""
    monkeypatch.chdir(tmp_path)
    given: Asked = []

    def measure(work: Work, timing: Timing, trace: Path | None) -> Speed:
        given.append((work, timing, trace))
        turns = tuple(Turn(speed, 1e12, 1e10) for speed in (900.0, 1000.0, 2000.0))
        costs = (Cost("conv", 7.0, 0.25, 0.9), Cost("relu", 7.0, 0.0125, 0.05)) if trace else ()
        return Speed(500_000_000, 1e6, 3 << 20, turns, costs)

    monkeypatch.setattr(bench, "measure_alone", measure)
    return given


def test_a_table_and_a_file(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "resnet20", "--device", "cpu", "--turns", "3", "--out", "b.json"]) == 0
    out = capsys.readouterr().out
    numbers = "1,000.0 +[(]900.0–2,000.0[)] +3 MiB +0.50 [(]0.45–1.00[)] +0.10 [(]0.09–0.20[)]"
    assert re.search(f"^resnet20 +training +128 +{numbers} *$", out, re.MULTILINE)
    assert re.search(f"^resnet20 +inference +200 +{numbers} *$", out, re.MULTILINE)
    assert "n = 3; limit, by " in out
    assert ": 1,000 Gflop/s, copy: 10 GB/s" in out
    written = json.loads(Path("b.json").read_text())
    assert written["provenance"]["device"] == "cpu"
    assert [each["kind"] for each in written["measured"]] == ["training", "inference"]
    assert written["measured"][0]["turns"][1]["images_per_s"] == 1000
    assert written["measured"][0]["limit_share"] == [0.45, 0.5, 1.0]
    assert not Path("profiles").exists()


def test_json(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "resnet20", "--device", "cpu", "--json", "--out", "b.json", "--profile"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert_documented({**told, "measured": [{**each, "costs": []} for each in told["measured"]]})
    assert told == json.loads(Path("b.json").read_text())
    assert [each["kind"] for each in told["measured"]] == ["training", "inference"]
    assert told["measured"][0]["costs"][0]["name"] == "conv"


def test_profiles(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "resnet20", "--device", "cpu", "--only", "training", "--profile"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^conv +7 +250.00 +90.0 % *$", out, re.MULTILINE)
    assert re.search(r"^relu +7 +12.50 +5.0 % *$", out, re.MULTILINE)
    assert [trace for *_, trace in asked] == [Path("profiles/resnet20-training.json")]


@pytest.mark.parametrize("json_too", [False, True])
@pytest.mark.parametrize(("end", "status"), [(KeyboardInterrupt(), 130), (UserError("killed"), 2)])
def test_what_was_measured_before_it_ended_is_there(
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: BaseException,
    status: int,
    json_too: bool,
) -> None:
    measure, written = bench.measure_alone, []

    def of_two(work: Work, timing: Timing, trace: Path | None) -> Speed:
        if len(asked) == 2:
            raise end
        written.append(Path("b.json").exists())
        return measure(work, timing, trace)

    monkeypatch.setattr(bench, "measure_alone", of_two)
    command = ["bench", "resnet20", "resnet32", "--device", "cpu", "--out", "b.json"]
    assert main([*command, *(["--json"] if json_too else [])]) == status
    assert written == [False, True]
    kept, out = json.loads(Path("b.json").read_text()), capsys.readouterr().out
    assert [each["kind"] for each in kept["measured"]] == ["training", "inference"]
    if json_too:
        assert json.loads(out) == kept
    else:
        assert re.findall("^resnet[0-9]+ +[a-z]+", out, re.MULTILINE) == [
            "resnet20  training",
            "resnet20  inference",
        ]


def test_what_is_measured(asked: Asked) -> None:
    options = ["--device", "cpu", "--threads", "1", "--turn-seconds", "0.5", "--precision", "bf16"]
    set_b = ["--set", "shortcut=B", "--set", "crop=160", "--set", "short_side=160,200"]
    assert main(["bench", "resnet34", "resnet18", *options, *set_b]) == 0
    works = [work for work, *_ in asked]
    assert [work.network for work in works] == ["resnet34", "resnet34", "resnet18", "resnet18"]
    assert {work.batch for work in works} == {16}
    assert {work.precision for work in works} == {"bf16"}
    assert works[0].options["shortcut"] == "B"
    assert works[0].size == 160
    assert asked[0][1] == Timing("cpu", threads=1, turns=5, turn_s=0.5)


def test_a_batch_size_of_ones_own(asked: Asked) -> None:
    assert main(["bench", "resnet18", "--device", "cpu", "--set", "batch_size=8"]) == 0
    assert {work.kind: work.batch for work, *_ in asked} == {"training": 8, "inference": 16}


def test_of_vgg_inference_alone(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "vgg16", "--device", "cpu", "--batch-size", "3"]) == 0
    assert [(work.kind, work.batch, work.size) for work, *_ in asked] == [("inference", 3, 224)]
    assert "vgg16 has no recipe: only its inference is measured" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("resnet21", "no network resnet21"),
        ("alexnet", "unknown network 'alexnet'"),
        ("resnet20 --batch-size 0", "--batch-size must be at least 1, got 0"),
        ("resnet20 --turns 0", "--turns must be at least 1, got 0"),
        ("resnet20 --set shortcut=B", "shortcut"),
        ("resnet18 plain18 --set shortcut=B", "plain18 cannot take shortcut='B'"),
        ("resnet20 --turn-seconds -1", "--turn-seconds must be 0 or more, got -1"),
        ("resnet20 --turn-seconds nan", "--turn-seconds must be 0 or more, got nan"),
        ("resnet20 --set precision=fp32", "in the precision that --precision gives"),
        ("vgg16 --set lr=1", "vgg16 has no recipe"),
        ("vgg16 --only training", "vgg16 has no recipe"),
        ("resnet20 --device abacus", "device 'abacus' is not available here"),
    ],
)
def test_mistakes(
    asked: Asked, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not asked
