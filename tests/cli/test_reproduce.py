import re
from pathlib import Path

import pytest
from made_up_runs import make_detection_run, make_run
from svg import texts_of

from deepres.cli.main import main
from deepres.reproduction import cost
from deepres.reproduction.cost import in_words


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_needs_no_run_is_drawn_from_the_networks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "table1", "architecture", "figure3", "figure5"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"multiply-adds, 10⁹ +published +1\.8 +3\.6 +3\.8 +7\.6 +11\.3", shown)
    assert re.search(r"multiply-adds, 10⁹ +ours +1\.79 +3\.64 +3\.86 +7\.57 +11\.28", shown)
    assert re.search(r"layers of ResNet-110 +37 +36 +36", shown)
    assert {path.name for path in (folder / "reproduced").iterdir()} == {
        *(f"{name}.{form}" for name in ("table1", "architecture") for form in FORMS),
        *(f"{name}.{form}" for name in ("figure3", "figure5") for form in ("svg", "png")),
    }
    boxes = texts_of((folder / "reproduced/figure3.svg").read_text())
    assert boxes.count("3×3 conv, 128, /2") == 2  # plain-34 and ResNet-34
    assert {"VGG-19", "plain-34", "ResNet-34", "fc 4096"} <= {*boxes}


FORMS = ("txt", "md", "tex", "html")


def test_runs_are_trained_and_drawn_and_then_left_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    length = ["--steps", "2", "--set", "log_every=1"]
    asked = ["reproduce", "figure1", *length, "--data", "sample", "--device", "cpu"]
    assert main(asked) == 0
    runs = sorted((folder / "runs").iterdir())
    names = [f"{network}-log_every=1-2steps-s0" for network in ("plain20", "plain56")]
    assert [run.name for run in runs] == names
    drawn = texts_of((folder / "reproduced/figure1.svg").read_text())
    assert any("2 of 64,000 steps" in text for text in drawn)
    written = [(run / "model.safetensors").stat().st_mtime_ns for run in runs]
    capsys.readouterr()
    assert main([*asked, "--out", "again"]) == 0
    assert [(run / "model.safetensors").stat().st_mtime_ns for run in runs] == written
    same = [folder / name / "figure1.svg" for name in ("reproduced", "again")]
    assert same[0].read_bytes() == same[1].read_bytes()

    assert main(["reproduce", "figure1", "--list", *length]) == 0
    listed = capsys.readouterr()
    assert re.search(r"^figure1 +degradation: .* 2 of 2 +0$", listed.out, re.MULTILINE)
    assert "would take" not in listed.out + listed.err


def test_what_the_data_cannot_give_is_left_out_and_the_rest_is_drawn(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["reproduce", "figure1", "figure4", "figure5", "--steps", "1"]
    assert main([*asked, "--data", "sample", "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert re.search(r"^figure4 is left out: --data sample is CIFAR-10", said.err, re.MULTILINE)
    assert re.search(r"^to train: 2 of 2 runs, about \d+ s$", said.err, re.MULTILINE)
    drawn = re.findall(r"^(\w+): reproduced/", said.out, re.MULTILINE)
    assert drawn == ["figure5", "figure1"]  # first what waits for no run
    assert len(list((folder / "runs").iterdir())) == 2


def test_if_the_data_can_give_nothing_nothing_is_begun(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "figure4", "table2", "--data", "sample", "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deepres: --data sample is CIFAR-10")
    assert not list(folder.iterdir())


def test_the_list_says_what_is_missing_and_then_what_it_would_take(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "measured_speed", lambda recipe, device: 1000.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    for name in ("plain20", "plain56"):
        make_run(folder / f"runs/{name}-s0", name, stopped_at=32_000)
    make_run(folder / "runs/resnet20-s0", "resnet20")
    before: list[tuple[str, str]] = []
    true_time_left = cost.time_left

    def time_left(*arguments: object) -> dict[Path, float]:
        before.append(capsys.readouterr())
        return true_time_left(*arguments)

    monkeypatch.setattr(cost, "time_left", time_left)
    assert main(["reproduce", "figure1", "figure6", "table1", "--list", "--device", "cpu"]) == 0
    ((listed, said),) = before  # at once
    assert re.search(r"^table1 .* none needed +–$", listed, re.MULTILINE)
    assert re.search(r"^figure1 .* 0 of 2 +1$", listed, re.MULTILINE)
    assert re.search(r"^all of them +1 of 10 +3$", listed, re.MULTILINE)
    assert said == "estimating by multiply-adds how long the rest would take here\n"
    shown = capsys.readouterr().out
    times = dict(re.findall(r"^(.*?)  +([\d.]+ (?:hours|days))$", shown, re.MULTILINE))
    assert times.keys() == {"figure1", "figure6", "all of them"}
    assert times["all of them"] == times["figure6"]  # each run counts once


def test_detection_is_drawn_from_the_runs_there_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_detection_run(folder / "runs/anything", "vgg16", map_50_pct=73.1)
    make_run(folder / "runs/resnet101-s0", "resnet101")
    assert main(["reproduce", "table7"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^VGG-16 +VOC07 test +73\.2 +73\.10 +−0\.10 ", shown, re.MULTILINE)
    assert (
        "\nMissing: ResNet-101, VOC07 test: deepres detect train resnet101 --on voc07+12" in shown
    )
    assert (folder / "reproduced/table7.tex").exists()
    assert main(["reproduce", "table7", "--list", "--device", "cpu"]) == 0
    assert re.search(r"^table7 .* by hand +–$", capsys.readouterr().out, re.MULTILINE)


def test_the_cost_of_shortcuts_and_what_is_published_only_need_no_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "shortcuts", "table10", "table11", "table14"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^bottleneck of conv2_x .* 69,632 +135,168 +1\.94 ", shown, re.MULTILINE)
    assert re.search(r"^OverFeat \(ILSVRC'13\) +30\.0 +29\.9$", shown, re.MULTILINE)
    assert re.search(r"^tvmonitor +72\.6 +– +72\.0 +– +86\.8 +–$", shown, re.MULTILINE)
    assert len(list((folder / "reproduced").iterdir())) == 4 * len(FORMS)


@pytest.mark.parametrize(
    "name", [*(f"table1.{form}" for form in FORMS), "figure5.svg", "figure5.png"]
)
def test_a_table_or_figure_of_the_users_own_is_not_replaced(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder may be that of a paper of theirs."""
    theirs = folder / name
    theirs.write_text("mine")
    command = ["reproduce", "table1", "figure5", "--out", "."]
    assert main(command) == 2
    assert f"{name} is there already, and was not written by" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in folder.iterdir()} == {name: "mine"}
    theirs.unlink()
    assert main(command) == 0
    assert main(command) == 0  # they are ours now


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2.0 minutes"), (3_600 * 30, "30 hours"), (6e8, "19 years")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "name a table or figure, e.g. deepres reproduce figure1, or ask: --list"),
        ("tabel6", "unknown table or figure 'tabel6'; did you mean table6"),
        ("figure1 --seeds 0", "--seeds must be at least 1, got 0"),
        ("figure1 --measure", "--measure is for --list: give both"),
        ("table1 table7 --set nonsense=1", "no run is trained for table1 table7: there is nothing"),
        ("table1 --list --set nonsense=1", "no run is trained for table1: there is nothing to"),
        ("table1 figure1 --set nonsense=1", "plain20: unknown recipe field 'nonsense'"),
        ("figure1 --set holdout=60000", "plain20: recipe: holdout must be below CIFAR-10's 50,000"),
        ("figure1 --runs /proc/nowhere", "cannot write /proc/nowhere/plain20-s0"),
        ("figure1 --out /proc/nowhere", "cannot write /proc/nowhere"),
        ("figure1 --scale 2", "--scale must be above 0 and at most 1, got 2.0"),
    ],
)
def test_mistakes(
    arguments: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deepres.cli.reproduce.open_data", lambda *_: pytest.fail("it fetches"))
    assert main(["reproduce", *arguments.split()]) == 2
    assert message in capsys.readouterr().err
