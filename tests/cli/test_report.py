import json
import re
import webbrowser
from pathlib import Path

import pytest
from made_up_runs import PROVENANCE, make_detection_run, make_localization_run, make_run

from deepres.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deepres.cli.report.results_folder", lambda: tmp_path / "results")
    return tmp_path


def test_the_usual_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(folder / "runs/plain20-s0", "plain20")
    make_run(folder / "results/plain56-s0", "plain56", stopped_at=32_000)
    assert main(["report"]) == 0
    assert capsys.readouterr().out == "report on 2 runs, 1 of them finished: report.html\n"
    page = Path("report.html").read_text()
    assert "plain-20" in page
    assert "32,000 of 64,000 steps logged" in page
    shown, to_fill = page.split('<h2 id="to-fill">')
    assert {"table1", "figure1", "figure3", "figure6"} <= set(re.findall('<h2 id="(.*?)">', shown))
    listed = dict(re.findall(r'<li id="(\w+)">.*?<code>(.*?)</code>', to_fill, flags=re.DOTALL))
    commands = {name: re.sub("<.*?>", "", command) for name, command in listed.items()}
    assert commands["table2"] == "deepres reproduce table2 --data IMAGENET"
    assert commands["figure7"] == "deepres reproduce figure7"
    assert commands["table7"] == "deepres detect train vgg16 --on voc07+12 --weights WEIGHTS"
    assert not {"table1", "table14", "figure3", "figure5", "shortcuts"} & set(commands)
    assert page.count("no run yet") < 25  # rows of Table 6, and what Figures 1 and 6 lack


def test_given_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(folder / "runs/not-asked-for", "plain20")
    make_run(folder / "a/one", "plain32")
    make_run(folder / "b/two", "plain44")
    assert main(["report", "--runs", "a", "--runs", "b", "--out", "pages/a.html"]) == 0
    page = Path("pages/a.html").read_text()
    assert "<small>one</small>" in page
    assert "<small>two</small>" in page
    assert "not-asked-for" not in page


def test_detection_and_localization_stand_beside_classification(folder: Path) -> None:
    make_run(folder / "runs/a", "resnet101")
    make_detection_run(folder / "runs/b", map_50_pct=76.12)
    make_localization_run(folder / "runs/c", errors_pct={("multi-scale", "predicted"): 14.56})
    assert main(["report"]) == 0
    page = Path("report.html").read_text()
    assert '<h2 id="table7">Table 7: Faster R-CNN on PASCAL VOC' in page
    assert '<td class="number">76.12</td>' in page
    assert '<td class="number">14.56</td>' in page


def test_signals_at_initialisation_are_found_beside_the_runs(folder: Path) -> None:
    signals = {"forward_std": [1.0, 1.0], "gradient_norm": [25.0, 1.0], "provenance": PROVENANCE}
    signals |= {"model": "plain20", "steps": 0, "seed": 0}
    signals |= {"images": 128, "data": "128 training images of CIFAR-10"}
    (folder / "runs").mkdir()
    (folder / "runs/signals-plain20-s0.json").write_text(json.dumps(signals))
    assert main(["report"]) == 0
    page = Path("report.html").read_text()
    assert "At initialisation: " in page
    assert "25 (n = 1)" in page


def test_of_two_copies_the_one_in_the_folder_named_first_is_shown(folder: Path) -> None:
    for place in ("results", "runs"):  # whose data have other names, but are the same
        make_run(folder / place / "plain20-s0", "plain20", source=place, fingerprint="1")

    def shown() -> list[str]:
        page = Path("report.html").read_text()
        return re.findall(r'scope="row">data</th><td>(\w+) \(1\)', page)

    assert main(["report"]) == 0
    assert shown() == ["runs"]
    assert main(["report", "--runs", "results", "--runs", "runs"]) == 0
    assert shown() == ["results"]


def test_benchmarks_are_shown_where_they_are(folder: Path) -> None:
    found = {"median": 2.0, "min": 1.0, "max": 4.0, "n": 3}
    results = {"provenance": PROVENANCE, "summary": {"ours": {"times them": found}}}
    for path in (Path("benchmarks/results/usual.json"), Path("other/given.json")):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(results))
    assert main(["report"]) == 0
    page = Path("report.html").read_text()
    assert "2.00 (1.00–4.00)" in page
    assert ("<h3>Usual" in page, "<h3>Given" in page) == (True, False)
    assert main(["report", "--benchmarks", "other"]) == 0
    page = Path("report.html").read_text()
    assert ("<h3>Usual" in page, "<h3>Given" in page) == (False, True)


def test_a_file_that_is_no_benchmarks_keeps_no_report_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("benchmarks/results").mkdir(parents=True)
    Path("benchmarks/results/mine.json").write_text('{"a": 1}')
    assert main(["report"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("report on 0 runs")
    assert "benchmarks are left out: benchmarks/results/mine.json was not written by" in said.err
    assert main(["report", "--benchmarks", "benchmarks/results"]) == 2


def test_without_any_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 0
    assert "report on 0 runs" in capsys.readouterr().out
    assert "There are no runs yet" in Path("report.html").read_text()


def test_open(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: not opened.append(url))
    assert main(["report", "--open"]) == 0
    assert opened == [Path("report.html").resolve().as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert main(["report", "--open"]) == 2
    assert "no browser to be found; open report.html yourself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "nowhere"], "--runs nowhere: no such folder"),
        (["--benchmarks", "nowhere"], "--benchmarks nowhere: no such folder"),
        (["--runs", "runs/demo"], "runs/demo is itself a run; give the folder it is in: runs"),
        (["--out", "report.pdf"], "must end in .html, got report.pdf"),
        (["--out", "/proc/nowhere/report.html"], "cannot write /proc/nowhere/report.html"),
    ],
)
def test_mistakes(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("deepres.cli.report.draw", None)  # they are told before the work
    make_run(folder / "runs/demo")
    assert main(["report", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(folder.rglob("*.html"))
