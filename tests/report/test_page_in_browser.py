from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import BROWSER, Browser, open_browser
from made_up_runs import make_run

from deepres.report.curves import figure6
from deepres.report.embed import figure_html
from deepres.report.page import Section, write_page
from deepres.report.pictures import svg_text
from deepres.report.render import as_html
from deepres.report.tables import table3, table6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium"),
]
PHONE, DESK = 390, 1280


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
    runs.append(make_run(folder / "short", steps=2_000, deviations={"lr": 0.05}))
    picture = figure_html(svg_text(figure6(runs)), "Dashed: training; bold: test.")
    sections = [
        Section("table-3", "Table 3", as_html(table3(runs))),
        Section("table-6", "Table 6", as_html(table6(runs))),
        Section("figure-6", "Figure 6", picture),
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
    assert len(boxes) == 13  # one of each run, Figure 6, and two panels in the summary
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
    assert set(
        browser.evaluate(
            "[...document.querySelectorAll('.card')].map(c => getComputedStyle(c).backgroundColor)"
        )
    ) == {"rgb(255, 255, 255)"}


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_summary_is_in_view(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width=width)
    bottom = "getBoundingClientRect().bottom"
    assert browser.evaluate(f"document.querySelector('.best svg').{bottom}") < 844
    edges = "[...document.querySelectorAll('.summary td, .summary th')]"
    wide = f"{edges}.filter(c => c.scrollWidth > c.clientWidth + 1).length"
    assert browser.evaluate(wide) == 0  # no number is cut
    assert not browser.evaluate("document.querySelector('.missing').open")


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
