"""What a picture says, for tests."""

import xml.etree.ElementTree as ET

from matplotlib.figure import Figure

from deepres.report.pictures import svg_text

SVG = "{http://www.w3.org/2000/svg}"


def texts(figure: Figure) -> list[str]:
    """Return the lines of text in a picture's SVG."""
    return texts_of(svg_text(figure))


def texts_of(svg: str) -> list[str]:
    """Return the lines of text in an SVG."""
    root = ET.fromstring(svg)
    return ["".join(text.itertext()).strip() for text in root.iter(f"{SVG}text")]
