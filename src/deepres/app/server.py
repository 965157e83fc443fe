"""The page's server: it gets a picture, and answers with what a network sees in it.

Flask rather than Gradio, which holds Pillow below 13 and has analytics and share links to be
switched off. Here is nothing of the kind: the page needs nothing but itself.
"""

import base64
import io
import secrets
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from flask import Flask, Response, abort, render_template, request
from jinja2 import ChoiceLoader, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from werkzeug.exceptions import RequestEntityTooLarge

from deepres.app.choices import Choice
from deepres.app.hosts import is_foreign, may_ask
from deepres.data.images import open_image
from deepres.errors import UserError
from deepres.evaluation.explain import Explanation, explain
from deepres.models import Classifier, load_classifier
from deepres.report.embed import embed
from deepres.report.explanation import Bar, contributions_figure, grad_cam_figure
from deepres.report.pictures import png_bytes, svg_text
from deepres.run_weights import weights_file
from deepres.torch_errors import in_words

TOP = 5
"""Classes shown."""
MOST_BYTES = 100 << 20
"""Of a picture."""
LOADED = 3
"""Networks that are kept in memory."""
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: a browser asks nobody else for anything."""


def create_app(choices: Callable[[], dict[str, Choice]], device: torch.device, host: str) -> Flask:
    """Return the page as a WSGI application.

    Args:
        choices: which networks there are, asked each time.
        device: where they compute.
        host: the name or address that is listened on. Who asks for a foreign name gets nothing.
    """
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.jinja_options = {
        "loader": ChoiceLoader(
            [PackageLoader("deepres.app", "page"), PackageLoader("deepres.report", "page_template")]
        ),
        "undefined": StrictUndefined,
        "autoescape": True,
    }
    one_at_a_time = Lock()  # filters of warnings and Matplotlib's settings are the whole process's

    @lru_cache(LOADED)
    def loaded(weights: Path, written: int) -> Classifier:
        return load_classifier(weights, device)

    def page(status: int = 200, chosen: str = "", **answer: Any) -> Response:
        nonce = secrets.token_urlsafe()
        html = render_template(
            "page.html.jinja", choices=choices(), chosen=chosen, nonce=nonce, **answer
        )
        response = Response(html, status)
        response.headers["Content-Security-Policy"] = POLICY.format(nonce=nonce)
        return response

    @app.before_request
    def refuse_foreign_names() -> None:
        # Werkzeug's own TRUSTED_HOSTS cuts at the first colon, and so knows no IPv6 address.
        if not may_ask(request.host, host):
            abort(400, "this page is not served by that name; deepres app --host sets another")

    @app.before_request
    def refuse_foreign_pages() -> None:
        origin, site = (request.headers.get(name) for name in ("Origin", "Sec-Fetch-Site"))
        if request.method == "POST" and is_foreign(request.host, origin, site):
            abort(403, "another page has sent this; ask on the page of deepres app itself")

    @app.get("/")
    def empty() -> Response:
        return page()

    @app.post("/")
    def answer() -> Response:
        name = request.form.get("network", "")
        picture = request.files.get("picture")
        try:
            choice = choices().get(name)
            if choice is None:
                raise UserError(f"there is no network {name!r} any more; choose another")
            if not picture or not picture.filename:
                raise UserError("drop a picture first")
            file = io.BytesIO(picture.read())
            with one_at_a_time:
                image = open_image(picture.filename, file)
                written = weights_file(choice.weights).stat().st_mtime_ns
                classifier = loaded(choice.weights, written)
                found = explain(classifier, image, TOP, request.form.get("class") or None)
                shown = _shown(found)
        except (UserError, OSError) as error:
            return page(400, name, error=str(error))
        except (RuntimeError, MemoryError) as error:
            if not (what := in_words(error)):
                raise
            loaded.cache_clear()  # room for the next
            return page(503, name, error=f"{what}; ask again, or choose a smaller network")
        return page(200, name, about=choice.about, picture=picture.filename, **shown)

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> Response:
        return page(413, error=f"a picture may have {MOST_BYTES >> 20} MiB")

    return app


def _shown(found: Explanation) -> dict[str, Any]:
    """Return what the page shows of an explanation."""
    seen = io.BytesIO()
    Image.fromarray(found.pixels).save(seen, "PNG")
    shown = {
        "seen": _address(seen.getvalue()),
        "size": found.pixels.shape,
        "looked": _address(png_bytes(grad_cam_figure(found.pixels, found.heat))),
        "target": found.target,
        "guesses": found.guesses,
        "blocks": None,
    }
    if found.blocks:
        figure = contributions_figure([Bar(block.stage, block.ratio) for block in found.blocks])
        words = "What each residual block adds, beside what the shortcut brings"
        shown["blocks"] = Markup(embed(svg_text(figure), "blocks", words))
    return shown


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
