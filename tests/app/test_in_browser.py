"""The page of ``deepres app`` as a user has it: the command in a process, and Chromium."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import BROWSER, Browser, open_browser
from pictures import picture

import deepres

pytest.importorskip("flask", reason="needs Flask: pip install flask")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium"),
]
PHONE, DESK = 390, 1200
ANSWERED = "document.querySelector('#answer > *') && !document.querySelector('#answer[aria-busy]')"
CLASSES = "[...document.querySelectorAll('.guesses .name')].map(e => e.textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = ["-m", "deepres", "app", "resnet20", "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path_factory.mktemp("app"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), process.communicate()
        yield line.split()[0]
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    told = [line.split(":")[0] for line in err.splitlines()]
    assert told == ["resnet20", "input"]  # which network it is, and no complaint


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "a photo.png"
    picture(50, 40).save(path)
    return path


def chosen(browser: Browser, photo: Path) -> None:
    browser.choose_file("#picture", photo)
    browser.wait_for(ANSWERED)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_picture_is_dropped_and_seen(
    browser: Browser, address: str, photo: Path, width: int, dark: bool
) -> None:
    browser.open(f"{address}/", width=width, dark=dark)
    browser.drop_file(photo, 100, 20)  # on the heading
    browser.wait_for(ANSWERED)
    (guesses,) = deepres.predict(deepres.load_model("resnet20"), photo, top=5)
    assert browser.evaluate(CLASSES) == [guess.name for guess in guesses]
    assert browser.evaluate("document.querySelector('h2').textContent") == photo.name

    requested = {event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")}
    assert {url for url in requested if not url.startswith("data:")} == {f"{address}/"}
    assert not browser.seen("Log.entryAdded")
    assert not browser.seen("Runtime.consoleAPICalled")
    assert not browser.seen("Runtime.exceptionThrown")

    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    sizes = browser.evaluate(
        "[...document.querySelectorAll('.seen img, .card svg')].map(e => e.getBoundingClientRect())"
        ".map(r => [r.width, r.height, r.right])"
    )
    assert len(sizes) == 3
    assert all(wide > 150 and high > 120 and right <= width for wide, high, right in sizes)
    loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert browser.evaluate(loaded)
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(paper.removeprefix("rgb(").split(",")[0]) < 60) == dark


def test_another_network_or_class_needs_no_new_picture(
    browser: Browser, address: str, photo: Path
) -> None:
    browser.open(f"{address}/")
    assert browser.evaluate("document.getElementById('network').value") == "resnet20"
    chosen(browser, photo)
    target = "document.querySelector('.guesses [aria-pressed=true]').value"
    others = "[...document.querySelectorAll('.guesses [aria-pressed=false]')]"
    second = browser.evaluate(f"{others}[0].value")
    browser.evaluate(f"{others}[0].click()")
    browser.wait_for(f"{target} === '{second}'")
    assert second in browser.evaluate("document.querySelectorAll('figcaption')[1].textContent")

    browser.evaluate("document.getElementById('network').value = 'plain20-s0'")
    browser.evaluate("document.getElementById('look').click()")
    browser.wait_for("document.getElementById('answer').textContent.includes('plain20')")
    (guesses,) = deepres.predict(deepres.load_model("plain20-s0"), photo, top=5)
    assert browser.evaluate(CLASSES) == [guess.name for guess in guesses]


def test_a_bad_file_gets_a_line_and_the_next_an_answer(
    browser: Browser, address: str, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    browser.open(f"{address}/")
    chosen(browser, tmp_path / "notes.txt")
    said = browser.evaluate("document.querySelector('[role=alert]').textContent")
    assert said == "notes.txt: not an image that can be read"
    browser.choose_file("#picture", photo)
    browser.wait_for(f"{CLASSES}.length === 5")


def test_it_works_without_scripts(browser: Browser, address: str, photo: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(f"{address}/")
        browser.choose_file("#picture", photo)
        browser.events = []
        browser.evaluate("document.getElementById('look').click()")
        browser.wait_for(f"{CLASSES}.length === 5")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
