import io
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
import torch
from pictures import picture

pytest.importorskip("flask", reason="needs Flask: pip install flask")

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import deepres
from deepres.app import server
from deepres.app.choices import choices
from deepres.app.server import TOP, create_app
from deepres.pretrained.bundled import bundled_runs


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    app = create_app(lambda: choices([], tmp_path / "runs"), torch.device("cpu"), "127.0.0.1")
    app.testing = True
    return app.test_client()


def png() -> bytes:
    content = io.BytesIO()
    picture(50, 40).save(content, "PNG")
    return content.getvalue()


def ask(
    client: FlaskClient, content: bytes = b"", headers: dict[str, str] | None = None, **form: str
) -> TestResponse:
    file = (io.BytesIO(content), form.pop("name", "photo.png"))
    data = {"network": "resnet20-s0", "picture": file, **form}
    return client.post("/", data=data, headers=headers, base_url="http://127.0.0.1:7860")


def alert(response: TestResponse) -> str:
    return re.search(r'role="alert">(.*?)</p>', response.text)[1]


def test_the_page_asks_and_has_no_answer_yet(client: FlaskClient) -> None:
    response = client.get("/", base_url="http://127.0.0.1:7860")
    assert response.status_code == 200
    assert "the run resnet32-s0: 64,000 steps" in response.text
    assert "The likeliest classes" not in response.text
    assert re.findall("https?://", response.text) == []
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    nonce = re.search("script-src 'nonce-(.*?)'", policy)[1]
    assert f'<script nonce="{nonce}">' in response.text


def test_the_answer_is_what_predict_says(client: FlaskClient) -> None:
    response = ask(client, png())
    assert response.status_code == 200
    (guesses,) = deepres.predict(deepres.load_model("resnet20-s0"), picture(50, 40), TOP)
    rows = zip(
        re.findall('class="name">(.*?)<', response.text),
        re.findall('class="number">(.*?) %<', response.text),
        strict=True,
    )
    assert [*rows] == [(name, f"{100 * probability:.1f}") for name, probability in guesses]
    assert f"speaks for <strong>{guesses[0].name}</strong>" in response.text
    assert response.text.count("data:image/png;base64,") == 2
    assert ">conv4_x<" in response.text
    assert '<option value="resnet20-s0" selected>' in response.text


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: 9 bytes")])
def test_full_memory_is_told_and_the_page_goes_on(
    error: Exception, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as short:
        short.setattr(server, "explain", fail)
        response = ask(client, png())
    assert response.status_code == 503
    assert alert(response).startswith("the device&#39;s memory is full; ask again")
    assert ask(client, png()).status_code == 200


def test_another_class_can_be_looked_for(client: FlaskClient) -> None:
    likeliest, frog = (ask(client, png(), **given).text for given in ({}, {"class": "frog"}))
    assert "speaks for <strong>frog</strong>" in frog
    (seen, looked), (same, other) = (
        re.findall('src="(data:.*?)"', text) for text in (likeliest, frog)
    )
    assert seen == same
    assert looked != other


def test_a_plain_network_adds_nothing(client: FlaskClient) -> None:
    assert "has no residual blocks" in ask(client, png(), network="plain20-s0").text


def test_a_run_that_was_finished_meanwhile_can_be_chosen(
    client: FlaskClient, tmp_path: Path
) -> None:
    run = tmp_path / "runs/new"
    assert "there is no network" in alert(ask(client, png(), network=str(run)))
    shutil.copytree(bundled_runs()["resnet20-2000steps-s0"], run)
    assert ask(client, png(), network=str(run)).status_code == 200
    assert str(run) in client.get("/", base_url="http://127.0.0.1").text


@pytest.mark.parametrize(
    ("content", "form", "message"),
    [
        (b"no image", {}, "photo.png: not an image that can be read"),
        (png()[:900], {}, "photo.png: damaged or unreadable image"),
        (b"no image", {"name": "<b>.png"}, "&lt;b&gt;.png: not an image"),
        (b"", {"name": ""}, "drop a picture first"),
        (png(), {"class": "cow"}, "unknown class &#39;cow&#39;"),
        (png(), {"network": "/etc/passwd"}, "there is no network &#39;/etc/passwd&#39; any more"),
    ],
)
def test_mistakes_get_one_line(
    client: FlaskClient, content: bytes, form: dict[str, str], message: str
) -> None:
    response = ask(client, content, **form)
    assert response.status_code == 400
    assert message in alert(response)
    assert 'id="question"' in response.text


@pytest.mark.parametrize("step", ["open_image", "explain", "_shown"])
def test_what_changes_the_whole_process_is_done_one_at_a_time(
    client: FlaskClient, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, both, met = getattr(server, step), Barrier(2), []

    def waiting(*given: object) -> object:
        with suppress(BrokenBarrierError):
            met.append(both.wait(0.5))
        return work(*given)

    monkeypatch.setattr(server, step, waiting)
    with ThreadPoolExecutor(2) as pool:
        others = [client.application.test_client() for _ in range(2)]
        answers = [*pool.map(lambda each: ask(each, png()).status_code, others)]
    assert (answers, met) == ([200, 200], [])


def test_a_picture_that_is_too_large_is_refused(client: FlaskClient) -> None:
    client.application.config["MAX_CONTENT_LENGTH"] = 1_000
    response = ask(client, png())
    assert response.status_code == 413
    assert alert(response) == "a picture may have 100 MiB"


def test_a_foreign_page_gets_nothing(client: FlaskClient) -> None:
    """Its name could be made to stand for this machine: the browser would then let it read."""
    response = client.get("/", base_url="http://example.org:7860")
    assert response.status_code == 400
    assert "this page is not served by that name" in response.text
    assert "resnet20" not in response.text
    assert client.post("/", base_url="http://example.org:7860").status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:7860", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://127.0.0.1:7860"}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 403),
        ({"Origin": "http://evil.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_a_foreign_page_cannot_have_this_machine_work(
    client: FlaskClient, headers: dict[str, str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked: list[object] = []
    monkeypatch.setattr(server, "_shown", lambda found: worked.append(found) or {})
    assert ask(client, png(), headers=headers).status_code == status
    assert len(worked) == (status == 200)


@pytest.mark.parametrize(
    ("host", "asked", "status"),
    [
        ("::1", "[::1]", 200),
        ("0::1", "[::1]", 200),
        ("::1", "localhost", 200),
        ("::1", "example.org", 400),
        ("2001:DB8::7", "[2001:db8::7]", 200),
        ("2001:DB8::7", "[2001:db8::8]", 400),
        ("Mybox", "mybox", 200),
        ("mybox", "MyBox", 200),
        ("mybox", "mybox.example.org", 400),
        ("0.0.0.0", "192.0.2.7", 200),
        ("0.0.0.0", "localhost", 200),
        ("0.0.0.0", "ThisBox", 200),
        ("0.0.0.0", "example.org", 400),
        ("0.0.0.0", "192.0.2.7.example.org", 400),
        ("::", "[2001:db8::7]", 200),
        ("::", "[::1", 400),
    ],
)
def test_the_page_is_served_by_the_names_of_what_it_listens_on(
    host: str, asked: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "thisbox")
    client = create_app(dict, torch.device("cpu"), host).test_client()
    for port in ("", ":7860"):
        assert client.get("/", headers={"Host": f"{asked}{port}"}).status_code == status
