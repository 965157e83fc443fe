"""Pictures and tables made fit to stand side by side in one HTML page."""

import html
import re

CSS_PIXELS = {"pt": 96 / 72, "px": 1.0, "": 1.0}


def figure_html(svg: str, caption: str) -> str:
    """Return an SVG picture with a caption below it."""
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def embed(content: str, name: str, description: str) -> str:
    """Return ``content`` with its tables and pictures made fit for the page.

    A table scrolls inside a box of its own. A picture shrinks with the page, down to where its
    text can still be read, takes its colours and letters from the page, light or dark, has ids that
    no other picture has, and tells ``description`` to those who hear it.

    Args:
        content: HTML with <table> and <svg> elements.
        name: unique in the page; the ids of its pictures begin with it.
        description: in words.
    """
    label = html.escape(description)
    box = f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
    tables = re.compile(r"<table\b.*?</table>", re.DOTALL)
    content = tables.sub(lambda table: f"{box}{table[0]}</div>", content)
    pieces = re.split(r"(?:<\?xml.*?)?(<svg\b.*?</svg>)", content, flags=re.DOTALL)
    for i in range(1, len(pieces), 2):
        pieces[i] = _card(pieces[i], f"{name}-{i // 2 + 1}", label)
    return "".join(pieces)


def _card(svg: str, name: str, label: str) -> str:
    """Put an <svg> on a card of flexible size, with ids that begin with ``name``, and a title."""
    svg = _themed(re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL))
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    tag, _, drawing = svg.partition(">")
    size = re.search(r'\bwidth="([\d.]+)(pt|px|)"', tag)
    width = float(size[1]) * CSS_PIXELS[size[2]] if size else 640.0
    tag = re.sub(r'\s(?:width|height|role|aria-\w+)="[^"]*"', "", tag)
    return (
        f'<div class="card" style="max-width:{width:.0f}px">'
        f'{tag} role="img" aria-labelledby="{name}-title" style="min-width:{0.62 * width:.0f}px">'
        f'<title id="{name}-title">{label}</title>{drawing}</div>'
    )


def _themed(svg: str) -> str:
    """Make each colour one that the page's style can change: #0072b2 is --0072b2 there."""
    svg = re.sub(r"(?<=: )#([0-9a-f]{6})\b", r"var(--\1, #\1)", svg)
    return re.sub(r"\s?font-family: [^;\"]*;?", "", svg)
