"""What README and docs/ say can be done and found."""

import argparse
import ast
import dataclasses
import fnmatch
import itertools
import json
import os
import re
import shlex
import statistics
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pictures import picture
from torch.distributed.run import parse_args as parse_torchrun

import deepres
from deepres.cli import running
from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10
from deepres.files import read_json
from deepres.recipes import CLASSES, Recipe
from deepres.recipes.detection import DATASETS, FOLDER_NAME
from deepres.renamed import FIELDS
from deepres.report.grouping import network_of
from deepres.report.measures import TEST, TOP1_10_CROP, TRAINING
from deepres.report.names import title
from deepres.report.published import TABLE_6
from deepres.report.read_runs import find_runs
from deepres.run_folder import LOCK, OF_THE_WEIGHTS, RunFolder

ROOT = Path(__file__).parent.parent
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "results/README.md"])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
SHELL_WORDS = {"if", "then", "else", "fi", "source", "pytest", "pre-commit", "docker", "mkdir"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command in the page's blocks; comments are left out."""
    for block in blocks(page, "sh"):
        yield from commands_of(block)


def commands_of(text: str) -> Iterator[list[str]]:
    line = ""
    for part in text.splitlines():
        line += part.removesuffix("\\") + "\n"
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a quotation goes on in the next line
            continue
        if part.endswith("\\"):
            continue
        line = ""
        if words:
            yield words


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Where main's options are put, in place of being carried out."""
    seen: list[object] = []
    monkeypatch.setattr(running, "run", lambda options: seen.append(options) or 0)
    return seen


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_parses(page: Path, parsed: list[object]) -> None:
    for words in commands(page):
        try:
            check(words, parsed)
        except (SystemExit, AssertionError, KeyError, deepres.errors.UserError) as error:
            pytest.fail(f"{page.name}: {shlex.join(words)}: {error!r}")


@pytest.mark.parametrize("command", ["", "detect train", "detect evaluate", "localize train"])
def test_every_example_of_the_help_parses(
    command: str, parsed: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    shown = capsys.readouterr().out
    examples = re.findall(r"^  (?:deepres|torchrun) (?:.*\\\n)*.*$", shown, re.MULTILINE)
    assert len(examples) > 1
    for words in commands_of("\n".join(examples)):
        check(words, parsed)


def check(words: list[str], parsed: list[object]) -> None:
    first, *rest = itertools.takewhile(lambda word: word not in ("|", ">"), words)
    if first == "torchrun":
        launch = parse_torchrun(rest)
        assert launch.module
        first, rest = launch.training_script, launch.training_script_args
    if first in ("deepres", "$deepres"):
        assert main(rest) == 0
        options = parsed.pop()
        for recipe in recipes(options):
            (recipe.scaled_to(options.steps) if options.steps else recipe).changed(options.set)
    elif first == "make":
        (target,) = rest
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif first == "pip":
        assert rest[0] == "install"
        if extra := re.fullmatch(r"\.\[(\w+)\]", rest[1]):
            assert extra[1] in PROJECT["optional-dependencies"]
    elif first == "python":
        assert (ROOT / rest[0]).is_file()
    elif first not in SHELL_WORDS and "=" not in first:
        assert os.access(ROOT / first, os.X_OK), "what is this?"


def recipes(options: argparse.Namespace) -> list[Recipe]:
    """Those that a command to train begins with; none of what goes on or is repeated."""
    if options.call == "train.call":
        return [deepres.get_recipe(name) for name in options.networks]
    if options.call == "detect_train.call" and options.networks:
        dataset = options.on if options.on in DATASETS else FOLDER_NAME
        return [deepres.detection_recipe(dataset, options.networks, options.schedule or "4-step")]
    if options.call == "localize_train.call" and options.networks:
        papers = deepres.localization_rcnn_recipe if options.rpn else deepres.localization_recipe
        return [papers(options.networks)]
    return []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_exist(page: Path) -> None:
    known = {field for recipe in CLASSES for field in recipe._settable()} | FIELDS.keys()
    assert set(re.findall(r"--set ([a-z_]+)=", page.read_text())) <= known


@pytest.mark.parametrize(
    "page", [each for each in PAGES if each.name != "CHANGELOG.md"], ids=name_of
)
def test_files_in_the_prose_exist(page: Path) -> None:
    folders = "benchmarks|docs|examples|src|tests|tools"
    for file in re.findall(rf"`((?:{folders})/[\w./-]*)`", prose(page)):
        assert (ROOT / file).exists(), file


def test_each_file_of_a_run_is_told() -> None:
    folder = RunFolder(Path())
    files = {each.name for each in vars(folder).values() if isinstance(each, Path)} - {""}
    files |= {*OF_THE_WEIGHTS, LOCK, "responses.json", "signals.json"}
    assert files <= set(re.findall(r"`([^`]+)`", (ROOT / "docs/run-folder.md").read_text()))


def test_each_field_of_an_event_is_told() -> None:
    told = re.findall(r"`([^`]+)`", (ROOT / "docs/run-folder.md").read_text())
    for file in ROOT.glob("results/*/metrics.jsonl"):
        events = map(json.loads, file.read_text().splitlines())
        for field in {field for event in events for field in event}:
            assert any(fnmatch.fnmatch(field, word) for word in told), (file, field)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_in_the_prose_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for code in re.findall(r"`([^`]+)`", prose(page)):
        if re.match(r"deepres [a-z]", code):
            words = code.split()[1:]
            named = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
            with pytest.raises(SystemExit, match="0"):
                main([*named, "--help"])
            known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
            assert {word for word in words if re.match("--[a-z]", word)} <= known, code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_runs(
    page: Path, sample: Cifar10, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one step, and on some of the sample's images."""
    parts = {
        "train": sample.train.subset(slice(200)),
        "test": sample.test.subset(slice(0, None, 9)),
    }
    few = dataclasses.replace(sample, **parts)
    monkeypatch.setattr(deepres, "load_sample", lambda: few)
    monkeypatch.chdir(tmp_path)
    picture(60, 50).save("cat.jpg")
    for block in blocks(page, "python"):
        short = re.sub(r"\.scaled_to\(\d+\)", ".scaled_to(1)", block)
        exec(compile(short, str(page), "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", prose(page))
    for link in (markdown or html for markdown, html in links):
        if re.match("https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """What GitHub lets a link to a page name: its headings, and ids that it was given."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
    return slugs | set(re.findall(r'id="([^"]+)"', page.read_text()))


def test_code_stands_where_the_architecture_page_says() -> None:
    page = ROOT / "docs/architecture.md"
    rows = re.findall(r"^\| .* \| `(.+)` \| \[.*\]\((.*\.py)\) \|$", page.read_text(), re.MULTILINE)
    assert len(rows) > 20
    for code, file in rows:
        assert code in (page.parent / file).read_text(), (code, file)


def test_both_readmes_have_the_same_commands() -> None:
    english, chinese = (list(commands(readme)) for readme in READMES)
    assert english == chinese
    english, chinese = (
        [ast.dump(ast.parse(block)) for block in blocks(readme, "python")] for readme in READMES
    )
    assert english == chinese


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_errors_are_those_of_the_runs_in_results(readme: Path) -> None:
    published = {row.label: row.error_pct for row in TABLE_6}
    runs = [run for run in find_runs([ROOT / "results"]) if run.is_papers and run.result]
    rows = re.findall(r"^\| (\S+-\d+) \| (\S+) \| (\S+) \|", readme.read_text(), re.MULTILINE)
    shown = sorted((name.replace("-", "").lower(), float(ours)) for name, _, ours in rows)
    assert shown == sorted((run.result["model"], run.result["test_error_pct"]) for run in runs)
    for name, theirs, _ in rows:
        assert theirs == (f"{published[name]:.2f}" if name in published else "–")


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_errors_in_small_are_the_means_over_the_seeds_in_results(readme: Path) -> None:
    runs = [run for run in find_runs([ROOT / "results"]) if run.steps == 2_000]
    rows = re.findall(r"^\| (20|32|44|56) \| (.+) \|$", readme.read_text(), re.MULTILINE)
    assert [depth for depth, _ in rows] == ["20", "32", "44", "56"]
    for depth, row in rows:
        found = []
        for network in (f"plain{depth}", f"resnet{depth}"):
            same = [run for run in runs if network_of(run) == network]
            for measure in (TRAINING, TEST):
                values = [measure.of(run) or 0.0 for run in same]
                spread = f" ± {statistics.stdev(values):.2f}" if len(values) == 3 else ""
                assert spread or len(values) == 1
                found.append(f"{statistics.mean(values):.2f}{spread}")
        assert row.split(" | ") == found
    for run in find_runs([ROOT / "results"]):
        if run.steps == 8_000 and run.result:
            assert f"{run.result['test_error_pct']:.2f}" in readme.read_text()
        if run.kind == "imagenet":
            assert f"{title(network_of(run))} {TOP1_10_CROP.of(run):.2f}" in readme.read_text()


@pytest.mark.parametrize("page", [*READMES, ROOT / "docs/benchmarks.md"], ids=name_of)
def test_speeds_are_those_that_were_measured(page: Path) -> None:
    checked = 0
    for section in re.split("^## ", page.read_text(), flags=re.MULTILINE):
        files = re.findall(r"\(([./]*benchmarks/results/\S+\.json)\)", section)
        values = [value for file in files for value in measured(page.parent / file)]
        bodies = re.findall(r"^\|---.*\n((?:\|.*\n)+)", section, re.MULTILINE) if files else []
        for row in "".join(bodies).splitlines():
            cells = row.split("|", 2)[2]
            for number in NUMBER.findall(cells):
                digits = len(number.partition(".")[2])
                assert number in {f"{value:,.{digits}f}" for value in values}, (files, row)
                checked += 1
    assert checked >= 9


def measured(file: Path) -> list[float]:
    """The medians and ranges in what a benchmark wrote."""
    found = json.loads(file.read_text())
    sides = [each for side in found.get("summary", {}).values() for each in side.values()]
    values = [each[statistic] for each in sides for statistic in ("median", "min", "max")]
    for key, shares in found.items():
        if key.startswith("share"):
            for turns in filter(None, shares.values()):
                values += [statistics.median(turns), min(turns), max(turns)]
    return values


def test_gradients_grow_as_in_the_networks_in_results() -> None:
    text = " ".join((ROOT / "docs/DEVIATIONS.md").read_text().split())
    for network in ("plain20", "plain56", "plain34", "resnet34"):
        files = [read_json(ROOT / f"results/signals-{network}-s{seed}.json") for seed in range(3)]
        growths = [file["gradient_norm"][0] / file["gradient_norm"][-1] for file in files]
        least, most = (f"{round(each):,}" for each in (min(growths), max(growths)))
        assert f"in {title(network)} {least}- to {most}-fold" in text


def test_deviations_are_numbered_in_order() -> None:
    page = ROOT / "docs/DEVIATIONS.md"
    rows = re.findall(r'^\| <a id="(.*?)"></a>(\S+) \|', page.read_text(), re.MULTILINE)
    tables = [list(table) for _, table in itertools.groupby(rows, key=lambda row: row[1][0])]
    assert [[number for _, number in table] for table in tables] == [
        [f"{letter}{n}" for n in range(1, len(table) + 1)]
        for letter, table in zip("DCB", tables, strict=True)
    ]
    assert all(anchor == number.lower() for anchor, number in rows)


def test_version_and_pythons_are_the_same_everywhere() -> None:
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^## {version}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    workflow = (ROOT / ".github/workflows/test.yml").read_text()
    assert "run: make test\n" in workflow
    tested = re.findall(r'"3\.(\d+)"', workflow)
    lowest, beyond = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    assert tested == [str(minor) for minor in range(int(lowest), int(beyond))]
