import base64
import io
import json
import os
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import (
    PROVENANCE,
    SAMPLE,
    make_detection_run,
    make_fine_tuned_run,
    make_localization_run,
    make_run,
)
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deepres.errors import UserError
from deepres.report.claim import judge
from deepres.report.claims import CLAIMS
from deepres.report.page import Section, render_page, write_page
from deepres.report.read_runs import read_run
from deepres.report.runs import Run
from deepres.report.untrained import find_untrained

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """What a page is made of; whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name == "href" and tag == "a"]
        if tag == "th":
            assert dict(attrs).get("scope") in ("row", "col")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def text_of(page: str) -> str:
    without_style = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", without_style)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs")
    made = [
        make_run(folder / f"{model}-{seed}", model, seed, test_error_pct=error + seed / 10)
        for model, error in (("plain20", 9.0), ("plain56", 13.0), ("resnet20", 8.7))
        for seed in range(3)
    ]
    made.append(make_run(folder / "short", "resnet20", steps=2_000, source=SAMPLE))
    made.append(make_run(folder / "<b>lr", "resnet56", deviations={"lr": 0.05}))
    made.append(make_run(folder / "unfinished", "resnet110", stopped_at=32_000))
    made.append(make_run(folder / "begun", "resnet44", stopped_at=0))
    return made


@pytest.fixture(scope="module")
def page_on_runs(runs: list[Run]) -> str:
    return render_page(runs)


def test_the_page_is_sound(runs: list[Run]) -> None:
    section = Section("table-6", "Table 6", "<h3>ours</h3><table><tr><td>8.75</td></tr></table>")
    page = render_page(runs, [section])
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids))
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    for above, below in zip(outline.headings, outline.headings[1:], strict=False):
        assert below <= above + 1
    assert {f"claim-{claim.id}" for claim in CLAIMS} <= set(outline.ids)
    assert '<li><a href="#table-6">Table 6</a></li>' in page
    # One has logged nothing; on top the two large ones.
    assert page.count("<svg") == len(runs) - 1 + 2
    assert render_page(reversed(runs), [section]) == page


def test_it_says_what_the_evidence_is(page_on_runs: str) -> None:
    text = text_of(page_on_runs)
    assert "13 runs: 11 finished, 2 unfinished. Every number on this page is read" in text
    assert "11 runs are the paper's: of full length" in text
    assert "plain-20 × 3, plain-56 × 3, ResNet-20 × 3, ResNet-44 (1 unfinished)," in text
    assert "shortened: 2,000 of 64,000 steps, sample" in text
    assert "13.10 ± 0.10 (n = 3)" in text
    assert "Test error 8.75 % at step 32,000, training error 1.82 % at step 32,000." in text
    assert "Unfinished: 32,000 of 64,000 steps logged; it counts in no claim." in text
    assert "Nothing is logged yet." in text
    assert "Not the paper's: learning rate 0.05." in text
    assert "torch 2.15.0; AMD EPYC, 2 threads" in text


def test_a_long_recipe_stands_in_a_note_once(tmp_path: Path) -> None:
    fields = {"batch_size": 256, "lr": 0.02, "lr_drops": [500, 900], "flip": False}
    runs = [
        make_run(tmp_path / f"{model}-{seed}", model, seed, steps=2_000, deviations=fields)
        for model in ("plain20", "plain56")
        for seed in range(3)
    ]
    page = render_page(runs)
    text = text_of(page)
    words = "batches of 256, learning rate 0.02, rate drops after 500 and 900 steps, flip=false"
    assert text.count(f"Recipe 1: {words}.") == 1
    # Of each run, besides, what of it is not the paper's.
    assert text.count(words) == 1 + len(runs)
    assert "Shortened: 2,000 of 64,000 steps, recipe 1: " in text
    assert "After 2,000 steps: shortened: 2,000 of 64,000 steps, recipe 1." in text
    assert text.count("seed 0 shortened: 2,000 of 64,000 steps, recipe 1") == 2
    assert '<a href="#recipe-1">recipe 1</a>' in page
    assert page.count('id="recipe-1"') == 1


def test_differences_of_a_recipe_come_first(runs: list[Run]) -> None:
    page = render_page(run for run in runs if "lr" in run.name or run.name == "short")
    first = re.findall(r'scope="col">Remark.*?scope="row"><code>(\w+)', page, flags=re.DOTALL)
    assert first == ["lr", "steps"]  # of the newer run, then of the older
    assert "the paper's: 64,000" in text_of(page)


def test_drops_that_stayed_when_a_run_was_extended_are_not_called_scaled(tmp_path: Path) -> None:
    stayed = {"lr_drops": [500, 750]}
    text = text_of(render_page([make_run(tmp_path / "run", steps=2_000, deviations=stayed)]))
    assert "lr_drops500, 750not the paper's" in text
    assert "scaled with the length" not in text


def test_the_length_of_fine_tuning_is_not_the_papers(tmp_path: Path) -> None:
    text = text_of(render_page([make_fine_tuned_run(tmp_path / "run")]))
    assert "fine-tuned from weights 0a0a0a0a…, by no recipe of the paper" in text
    assert "the paper's: 4,000" not in text
    assert "The paper fine-tunes no classifier." in text
    assert not re.search("after 4,000 steps|full length, but|shortened:", text)


def test_what_lies_in_two_folders_is_shown_once(tmp_path: Path) -> None:
    copies = [make_run(tmp_path / name / "resnet20-s0") for name in ("runs", "results")]
    text = text_of(render_page(copies))
    assert "1 run: 1 finished" in text
    assert "1 more is a copy of one of these, and is left out" in text


def test_your_own_run_is_shown_beside_one_of_that_seed_that_came_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepres.run_places.results_folder", lambda: tmp_path / "results")
    given = make_run(tmp_path / "results/resnet20-s0", provenance={"hardware": "H200"})
    running = make_run(tmp_path / "runs/resnet20-s0", stopped_at=20_000)
    text = text_of(render_page([given, running]))
    assert "2 runs: 1 finished, 1 unfinished" in text
    assert "Under way, after 19,200 of 64,000 steps" in text
    own = make_run(tmp_path / "runs/try", test_error_pct=8.3)
    text = text_of(render_page([given, own]))
    assert "2 runs: 2 finished" in text
    claim = next(claim for claim in CLAIMS if claim.id == "no-degradation")
    judged, *_ = judge(claim, [given, own])
    sample, _ = judged.evidence[0].samples
    assert sample.runs == (own,)  # of one seed, the user's counts


def test_nobody_has_run_anything() -> None:
    page = render_page([])
    Outline(page)
    text = text_of(page)
    assert "There are no runs yet" in text
    strip = "At the paper's length 0 none On other runs 0 none Checks of ours 0 none Not yet run"
    assert strip in text
    assert f"{len(CLAIMS)} claims, and the commands for them" in text
    assert "deepres train plain20 plain56 --seeds 3" in text
    assert "<svg" not in render_page([])


def test_shortened_runs_alone_are_not_the_papers(tmp_path: Path) -> None:
    text = text_of(render_page([make_run(tmp_path, steps=2_000)]))
    assert "None is the paper's" in text
    assert "ResNet-20, seed 0 shortened: 2,000 of 64,000 steps" in text


def test_the_summary_stands_first_and_groups_the_claims(page_on_runs: str) -> None:
    text = text_of(page_on_runs)
    assert "At the paper's length 1 ≈ Plain nets degrade with depth On other runs 0 none" in text
    assert "plain-56 13.10 ± 0.10 (n = 3)" in text
    order = ["Your newest run", "Learning curves of plain and residual nets"]
    order += ["Figure 6 at the paper's length"]
    order += ["claims of the paper At the paper's length", "Undecided at the paper's length"]
    order += ["Table 6, published", "Contents", "How a claim is judged"]
    order += ["To fill these: what has no run yet, and the commands"]
    places = [text.index(each) for each in order]
    assert places == sorted(places)
    assert "8.70 (8.80 ± 0.10)3 runs of 64,000 steps; AMD EPYC, 2 threads" in text
    assert "<details open" not in page_on_runs


def aged(run: Run, days: float) -> Run:
    """The same run, as if it had logged so many days ago."""
    when = 1_700_000_000 - 86_400 * days
    for file in run.path.iterdir():
        os.utime(file, (when, when))
    return read_run(run.path)


def test_the_newest_run_stands_first_beside_the_papers_number(tmp_path: Path) -> None:
    old = aged(make_run(tmp_path / "old", "resnet20", test_error_pct=8.5), days=2)
    new = aged(make_run(tmp_path / "new", "resnet110", 1, test_error_pct=6.5), days=1)
    text = text_of(render_page([old, new]))
    assert "Your newest run: ResNet-110, seed 1 6.50 % test error" in text
    assert "After 64,000 steps: the paper's length and recipe." in text
    assert "The paper: 6.61 % test error, after 64,000 steps (Table 6)." in text
    assert text.index("ResNet-110, seed 1 paper-length") < text.index("ResNet-20, seed 0 paper-len")
    text = text_of(render_page([aged(old, days=0), new]))
    assert "Your newest run: ResNet-20, seed 0 8.50 %" in text


def test_an_unfinished_or_short_newest_run_says_so(tmp_path: Path) -> None:
    begun = make_run(tmp_path / "a", "resnet20", stopped_at=32_000)
    text = text_of(render_page([begun]))
    assert "8.75 % test error Under way, after 32,000 of 64,000 steps: the paper's length" in text
    short = make_run(tmp_path / "b", "resnet20", steps=2_000, source=SAMPLE)
    text = text_of(render_page([short]))
    assert "After 2,000 steps: shortened: 2,000 of 64,000 steps, sample." in text
    assert "(Table 6). A run so short is not to be compared with it." in text
    text = text_of(render_page([make_run(tmp_path / "c", "plain20")]))
    assert "The paper prints no number for it; its run has 64,000 steps." in text
    text = text_of(render_page([make_run(tmp_path / "highway", "highway32")]))
    assert "The paper quotes a number that was reached by another recipe (Table 6)." in text
    text = text_of(render_page([make_detection_run(tmp_path / "d", map_50_pct=75.0)]))
    assert "75.00 % mAP@.5" in text
    assert "The paper: 76.40 % mAP@.5, after" in text


def test_runs_that_come_with_deepres_are_not_called_yours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [make_run(tmp_path / "results" / name, name) for name in ("plain20", "resnet20")]
    own = aged(make_run(tmp_path / "runs/mine", "plain56", steps=2_000), days=100)
    monkeypatch.setattr("deepres.run_places.results_folder", lambda: tmp_path / "results")
    text = text_of(render_page(given))
    assert "No run of your own yet; one that comes with deepres: ResNet-20, seed 0" in text
    assert "Your newest run: plain-56, seed 0" in text_of(render_page([*given, own]))


def test_what_has_no_run_yet_is_one_list_with_its_commands(tmp_path: Path) -> None:
    empty = [Section("table-2", "Table 2", "", ["deepres reproduce table2 --data IMAGENET"])]
    empty.append(Section("table-7", "Table 7", "", ["deepres <detect>", "deepres test"]))
    page = render_page([make_run(tmp_path)], [Section("t", "Table 6", "<p>ours</p>"), *empty])
    assert (page.count(">Table 2"), page.count('href="#table-2"')) == (1, 0)
    text = text_of(page)
    at = text.index("To fill these: what has no run yet, and the commands for it")
    assert "Table 2deepres reproduce table2 --data IMAGENET" in text[at:]
    assert "Table 7deepres <detect>deepres test" in text[at:]
    assert "no run yet" not in text.replace("what has no run yet", "")


def a_test(**by_class: Any) -> list[dict[str, Any]]:
    test = {"views": "1-crop", "data": "the test images of CIFAR-10", "images": 10}
    return [test | {"top1_error_pct": 30.0, "top5_error_pct": 0.0, "provenance": {}} | by_class]


def test_errors_by_class_and_confusion_matrix(tmp_path: Path) -> None:
    errors = {"cat": 40.0, "<dog>": 20.0, "none": None}
    confusion = [[3, 2, 0], [1, 4, 0], [0, 0, 0]]
    kept = a_test(class_errors_pct=errors, confusion=confusion)
    page = render_page([make_run(tmp_path / "a", evaluations=kept)])
    Outline(page)
    text = text_of(page)
    assert "Errors by class and confusion matrix: the hardest is cat, 40.0 %" in text
    assert "1-crop, 10 images, the test images of CIFAR-10; 30.00 % in all." in text
    matrix = page[page.index('<table class="confusion">') :]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", matrix)
    assert [name for name, _ in rows][:3] == ["cat", "&lt;dog&gt;", "none"]
    assert [re.findall(r">(\d+)</td>", cells) for _, cells in rows[:3]] == [
        [str(count) for count in row] for row in confusion
    ]
    many = a_test(class_errors_pct=errors)
    text = text_of(render_page([make_run(tmp_path / "b", evaluations=many)]))
    assert "Errors by class: the hardest is cat, 40.0 %" in text
    assert "the hardest classes alone" in text


@pytest.mark.parametrize(
    "by_class", [{}, {"class_errors_pct": {}}, {"class_errors_pct": {"cat": None}}]
)
def test_without_errors_by_class_nothing_is_said_of_them(
    tmp_path: Path, by_class: dict[str, Any]
) -> None:
    page = render_page([make_run(tmp_path, evaluations=a_test(**by_class))])
    assert "by class" not in text_of(page)


def test_names_are_escaped(page_on_runs: str) -> None:
    assert "<b>" not in page_on_runs
    assert "&lt;b&gt;lr" in page_on_runs


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "run")]
    page = write_page(tmp_path / "new" / "report.html", runs)
    assert page.read_text() == render_page(runs)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        write_page(tmp_path / "file" / "report.html", runs)
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]


def test_detectors_show_their_tests_and_pictures(tmp_path: Path) -> None:
    curve = {"recall": [0.0, 0.5], "precision": [1.0, 0.9], "ap_pct": 48.7}
    tests = ({}, {"improvements": ["box refinement"], "map_50_pct": 77.7})
    curves = {"test": "a + box refinement: 4,952 images", "classes": {"tvmonitor": curve}}
    shown = make_detection_run(tmp_path / "a", map_50_pct=76.4, tests=tests, pr_curves=curves)
    said = PngInfo()
    said.add_text("Description", "a <b>: 100 images")
    Image.new("RGB", (3_000, 200), "red").save(shown.path / "detections.png", pnginfo=said)
    bare = make_detection_run(tmp_path / "b", "vgg16", stopped_at=0)
    localizer = make_localization_run(
        tmp_path / "c", errors_pct={("multi-scale", "predicted"): 15.25}
    )
    page = render_page([shown, bare, localizer, make_run(tmp_path / "d", "resnet101")])
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids))
    text = text_of(page)
    assert "ResNet-101 detector on VOC 07+12, seed 0" in text
    assert "mAP@.5 76.40 %, after 280,000 steps" in text
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", page)
    at = cells.index("box refinement")
    assert cells[at - 2 : at + 2] == ["VOC 2007 test", "4,952", "box refinement", "77.70"]
    assert "tvmonitor" in text
    assert "of each class. Of the test a + box refinement: 4,952 images." in text
    assert "what was found. Of the test a <b>: 100 images." in unescape(page)
    assert "Test error 12.00 %, training error 11.00 %, after 60,000 steps" in text
    assert "multi-scale, predicted classes" in text
    (picture,) = re.findall('src="data:image/webp;base64,([^"]+)"', page)
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        assert image.size == (1_600, 107)


def test_a_network_and_a_detector_on_it_are_never_compared(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", "resnet101", test_error_pct=21.75)]
    runs.append(make_detection_run(tmp_path / "b", "resnet101"))
    rows = re.findall(r'<tr><th scope="row">paper-length</th><td>(.*?)</td>', render_page(runs))
    assert rows == ["ResNet-101", "ResNet-101 detector on VOC 07+12"]


def test_networks_of_one_layer_functions_are_told_from_the_papers(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / name, steps=2_000, deviations=changed)
        for name, changed in (("a", {}), ("b", {"residual_layers": 1}))
    ]
    text = text_of(render_page(runs))
    assert "ResNet-20, ResNet-20 one-layer" in text[text.index("Networks × seeds") :]


def test_short_runs_say_so_once_before_their_verdicts(tmp_path: Path) -> None:
    runs = []
    networks = {"plain20": 40.0, "plain56": 60.0, "resnet20": 30.0, "resnet56": 35.0}
    for seed in range(3):
        for model, least in networks.items():
            error = least + seed
            errors = {"test_error_pct": error, "train_error_pct": error}
            path = tmp_path / f"{model}-{seed}"
            runs.append(make_run(path, model, seed, steps=2_000, **errors))
    text = text_of(render_page(runs))
    summary = text[text.index("What the verdicts rest on") : text.index("The runs behind")]
    on = "Shortened: 2,000 of 64,000 steps ✓ holds: Plain nets degrade with depth"
    assert on in summary
    assert "✓ holds: Residual beats plain at 56 layers" in summary[summary.index(on) :]
    assert summary.count("Shortened:") == 1


def test_evidence_has_a_question_an_interval_and_a_p_value(tmp_path: Path) -> None:
    runs = []
    for seed in range(3):
        for model, error in (("highway32", 8.7 + seed / 10), ("resnet32", 7.4 + seed / 10)):
            runs.append(make_run(tmp_path / f"{model}-{seed}", model, seed, test_error_pct=error))
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", render_page(runs))
    at = cells.index("Highway-32 &gt; ResNet-32")
    assert cells[at + 1 : at + 3] == ["+1.30 (+1.07 to +1.53)", "&lt; 0.001"]


def test_signals_at_initialisation_are_judged_without_a_run(tmp_path: Path) -> None:
    for seed, growth in enumerate((3_779, 6_630, 5_700)):
        write_signals(tmp_path, "plain56", seed, growth)
        write_signals(tmp_path, "plain20", seed, 25 + seed)
    untrained = find_untrained([tmp_path])
    assert [run.model for run in untrained] == ["plain20"] * 3 + ["plain56"] * 3
    text = text_of(render_page([], untrained=untrained))
    assert "At initialisation: ✗ does not hold" in text
    assert "plain-56 5370 ± 1454 (n = 3)" in text
    write_signals(tmp_path, "plain20", 3, 25, data=f"128 training images of {SAMPLE}")
    assert find_untrained([tmp_path])[3].condition == "sample"  # as runs say it
    write_signals(tmp_path, "plain56", 3, 5_000, images=16)  # BN saw others: not to be compared
    assert "plain-56 5370 ± 1454 (n = 3)" in text_of(
        render_page([], untrained=find_untrained([tmp_path]))
    )
    (tmp_path / "signals-plain20-s9.json").write_text("[]")
    with pytest.raises(UserError, match="does not hold what deepres signals writes"):
        find_untrained([tmp_path])


def write_signals(folder: Path, model: str, seed: int, growth: float, **others: Any) -> None:
    content = {
        **{"model": model, "steps": 0, "seed": seed, "provenance": PROVENANCE},
        **{"forward_std": [1.0, 0.9 + seed / 20], "gradient_norm": [growth, 1.0 + seed / 20, 1.0]},
        **{"images": 128, "data": "128 training images of CIFAR-10"},
    }
    (folder / f"signals-{model}-s{seed}.json").write_text(json.dumps(content | others))
