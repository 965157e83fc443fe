from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import BROWSER, Browser, open_browser
from made_up_runs import make_run

from deepres.report.curves import figure6
from deepres.report.diagrams import FILLS, figure3
from deepres.report.embed import figure_html
from deepres.report.page import Section, write_page
from deepres.report.pictures import svg_text
from deepres.report.render import as_html
from deepres.report.tables import table3, table6
from deepres.reproduction.draw import diagrams

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium"),
]
PHONE, DESK, HEIGHT = 390, 1200, 844
CONTRAST = """
(() => {
  const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const light = color => {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = color;
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const style = element => element.getAttribute('style') || '';
  const found = (selector, color) => [...document.querySelectorAll(selector)]
    .map(e => [contrast(getComputedStyle(e)[color], paper), style(e)]);
  const lines = found('svg path[style*="fill: none"]', 'stroke')
    .filter(([_, style]) => !/ebebeb|bfbfbf|cccccc/.test(style));  // grids, and drops of the rate
  const ink = getComputedStyle(document.querySelector('svg text')).fill;
  const boxes = [...document.querySelectorAll('svg path')]
    .filter(e => BOXES.some(color => style(e).includes(`fill: var(--${color}`)))
    .map(e => [contrast(getComputedStyle(e).fill, ink), style(e)]);
  return {text: found('svg text', 'fill'), lines, boxes};
})()
""".replace("BOXES", str([fill[1:] for fill in FILLS if fill != "#ffffff"]))
"""How each colour in a picture stands out from the page, by WCAG; text in boxes from its box."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    networks = [("plain20", 9.0), ("plain56", 13.0), ("resnet20", 8.7), ("resnet56", 7.0)]
    runs = [
        make_run(folder / f"{model}-{seed}", model, seed, test_error_pct=error + seed / 10)
        for model, error in networks
        for seed in range(2)
    ]
    runs.append(make_run(folder / f"a-name-{'of-many-words-' * 8}", "resnet110", stopped_at=9_600))
    names = [f"class {i}" for i in range(10)]
    by_class = {
        "class_errors_pct": {name: 2.0 * i for i, name in enumerate(names)},
        "confusion": [[1_000 - 20 * i if i == j else i for j in range(10)] for i in range(10)],
    }
    test = {"views": "1-crop", "data": "the test images of CIFAR-10", "images": 10_000}
    test |= {"top1_error_pct": 9.0, "top5_error_pct": 0.2, "provenance": {}, **by_class}
    deviations = {"lr": 0.05}
    runs.append(make_run(folder / "short", steps=2_000, deviations=deviations, evaluations=[test]))
    picture = figure_html(svg_text(figure6(runs)), "Dashed: training; bold: test.")
    sections = [
        Section("table-3", "Table 3", as_html(table3(runs))),
        Section("table-6", "Table 6", as_html(table6(runs))),
        Section("figure-3", "Figure 3", svg_text(figure3(diagrams(["resnet20"])))),
        Section("figure-6", "Figure 6", picture),
        Section("table-7", "Table 7", "", ["deepres detect train vgg16 --on voc07+12 " + "-" * 99]),
    ]
    return write_page(folder / "report.html", runs, sections)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_page_in_a_browser(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.open(page, width=width, dark=dark)
    assert browser.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == dark

    requested = [event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")]
    assert [url for url in requested if not url.startswith("data:")] == [page.as_uri()]
    assert not browser.seen("Log.entryAdded")
    assert not browser.seen("Runtime.consoleAPICalled")
    assert not browser.seen("Runtime.exceptionThrown")

    assert browser.evaluate("innerWidth") == width  # a phone zooms out if something is wider
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    boxes = browser.evaluate(
        "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect())"
        ".map(r => [r.width, r.height])"
    )
    assert len(boxes) == 15  # one of each run, Figures 3 and 6, and three on the first screen
    assert all(wide > 200 and high > 100 for wide, high in boxes)
    cut = "[...document.querySelectorAll('.card')].filter(c => c.scrollWidth > c.clientWidth)"
    assert browser.evaluate(f"{cut}.length") == (1 if width == PHONE else 0)  # Figure 6 is wide
    assert (
        browser.evaluate(
            "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.hash.slice(1))"
            ".filter(id => document.querySelectorAll('[id=\"' + id + '\"]').length !== 1)"
        )
        == []
    )
    paper = "getComputedStyle(document.body).backgroundColor"
    red = int(browser.evaluate(paper).removeprefix("rgb(").split(",")[0])
    assert (red < 60) == dark
    found = browser.evaluate(CONTRAST)
    assert all(found.values())
    for kind, least in (("text", 4.5), ("lines", 3.0), ("boxes", 4.5)):
        low = [(contrast, style) for contrast, style in found[kind] if contrast < least]
        if kind == "lines" and not dark:  # Okabe and Ito's, which have markers and shapes besides
            low = [(contrast, style) for contrast, style in low if contrast < 2.2]
        assert not low, kind


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_first_screen(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width=width)

    def edge(selector: str, side: str) -> float:
        rect = f"document.querySelector('{selector}').getBoundingClientRect()"
        return float(browser.evaluate(f"{rect}.{side}"))

    assert edge(".newest svg", "bottom") < HEIGHT
    assert edge(".best svg", "top") < HEIGHT
    if width == DESK:
        assert edge(".best", "bottom") < HEIGHT
        assert edge(".strip", "top") < HEIGHT
        assert edge(".best", "width") > 0.9 * edge("main", "width")
    heights = [edge(selector, "top") for selector in (".newest", ".best", ".strip")]
    assert heights == sorted(heights)


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_no_number_of_the_summary_is_cut(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width=width)
    edges = "[...document.querySelectorAll('.summary td, .summary th, .strip a')]"
    wide = f"{edges}.filter(c => c.scrollWidth > c.clientWidth + 1).length"
    assert browser.evaluate(wide) == 0
    assert not browser.evaluate("document.querySelector('.missing').open")


def test_notes_under_a_wide_table_can_be_read_wherever_it_is_scrolled(
    browser: Browser, page: Path
) -> None:
    browser.open(page, width=PHONE)
    box = "document.querySelector('#table-6 ~ .scroll')"
    for left in (0, 150, 10_000):
        browser.evaluate(f"{box}.scrollLeft = {left}")
        for part in (".notes", "caption"):
            rect = browser.evaluate(
                f"(r => [r.left, r.right])({box}.querySelector('{part}').getBoundingClientRect())"
            )
            assert 0 <= rect[0] < rect[1] <= PHONE


def test_links_lead_to_their_place(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    browser.evaluate("document.querySelector('nav a[href=\"#table-6\"]').click()")
    assert browser.evaluate("location.hash") == "#table-6"
    top = browser.evaluate("document.getElementById('table-6').getBoundingClientRect().top")
    assert -1 < top < 100


def test_what_is_too_wide_scrolls_in_its_own_box(browser: Browser, page: Path) -> None:
    browser.open(page, width=PHONE)
    wide = "document.querySelector('#table-6 ~ .scroll')"
    assert browser.evaluate(f"{wide}.scrollWidth > {wide}.clientWidth")
    assert browser.evaluate(f"{wide}.clientWidth") <= PHONE


def test_it_prints(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        **{"width": 673, "height": 1000, "deviceScaleFactor": 1, "mobile": False},  # A4's text
    )
    try:
        assert browser.evaluate(
            "[...document.querySelectorAll('svg')].every("
            "s => s.getBoundingClientRect().right <= innerWidth + 1)"
        )
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
