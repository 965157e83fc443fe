import re
from pathlib import Path

from made_up_runs import make_detection_run, make_run
from matplotlib.figure import Figure

from deepres.report import page as page_module
from deepres.report.benchmarks import scaling_figure
from deepres.report.building_blocks import figure5
from deepres.report.curves import figure6
from deepres.report.detection_figures import precision_recall
from deepres.report.diagrams import figure3
from deepres.report.embed import embed, figure_html
from deepres.report.figures import curves_figure
from deepres.report.pictures import svg_text
from deepres.report.read_runs import read_run
from deepres.report.response_curves import figure7
from deepres.reproduction.draw import diagrams
from deepres.run_folder import RunFolder


def picture() -> str:
    figure = Figure(figsize=(5, 3))
    figure.add_subplot().plot([1, 2], [3, 4])
    return svg_text(figure)


def test_a_picture_has_ids_of_its_own_and_a_title() -> None:
    page = embed(picture() + picture(), "a", "errors < 5") + embed(picture(), "b", "others")
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    links = re.findall(r'(?:url\(#|href="#|labelledby=")([^")]+)', page)
    assert len(links) > 3
    assert set(links) <= set(names)
    assert page.count('role="img"') == 3
    assert page.count(">errors &lt; 5</title>") == 2
    assert not re.search(r'<svg[^>]*\s(?:width|height)="', page)  # as wide as the page lets it be
    assert "max-width:480px" in page  # 5 inches
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)


def test_colours_and_letters_are_the_pages() -> None:
    page = embed(picture(), "a", "a line")
    assert "stroke: var(--000000, #000000)" in page
    assert not re.search(r"(?<!, )#[0-9a-f]{6}\b(?!\w)", re.sub(r'href="[^"]*"', "", page))
    assert "font-family" not in page
    assert "font-size" in page
    assert len(page) < len(picture())  # what that adds is less than what it saves


def test_every_colour_of_a_picture_has_one_on_dark_paper(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a", "plain20"), make_run(tmp_path / "b", "plain110", steps=300)]
    detector = make_detection_run(tmp_path / "c")
    curve = {"recall": [0.0, 0.5], "precision": [1.0, 0.9], "ap_pct": 48.7}
    held_out = RunFolder(make_run(tmp_path / "d", steps=300).path)
    held_out.append_event({"step": 300, "split": "val", "error_pct": 41.5})
    spread = {"median": 2.0, "min": 1.0, "max": 4.0, "n": 3}
    line = {"against": "layers", "of": "x", "sizes": [20, 56], "step_s": [spread, spread]}
    figures = [
        *(figure6(runs), figure3(diagrams(["resnet34"])), figure5(diagrams(["resnet50"]))),
        *(figure7([]), curves_figure(read_run(held_out.path)), curves_figure(detector)),
        *(precision_recall({"cat": curve}), scaling_figure([line | {"start_s": 0, "slope_s": 1}])),
    ]
    page = "".join(embed(svg_text(figure), f"f{i}", "") for i, figure in enumerate(figures))
    used = set(re.findall(r"var\(--([0-9a-f]{6}),", page))
    assert len(used) > 15
    css = (Path(page_module.__file__).parent / "page_template/page.css").read_text()
    dark = css[css.index("prefers-color-scheme: dark") : css.index("* { box-sizing")]
    assert used - set(re.findall(r"--([0-9a-f]{6}): #", dark)) == {"ffffff"}  # the page's paper


def test_a_table_scrolls_in_its_own_box() -> None:
    page = embed("<p>a</p><table><tr><td>\\1</td></tr></table><p>b</p>", "t", 'Table "6"')
    box = '<div class="scroll" tabindex="0" role="region" aria-label="Table &quot;6&quot;">'
    assert page == f"<p>a</p>{box}<table><tr><td>\\1</td></tr></table></div><p>b</p>"


def test_a_label_is_taken_literally() -> None:
    assert r'aria-label="\1 \g&lt;0&gt;"' in embed("<table></table>", "t", r"\1 \g<0>")


def test_a_caption_is_escaped() -> None:
    assert figure_html("<svg></svg>", "a < b").endswith(
        "<figcaption>a &lt; b</figcaption></figure>"
    )
