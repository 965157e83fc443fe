"""VOC's XML files, in the variants that people's tools write."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from deepres.data.detection.checks import Box, number
from deepres.errors import UserError
from deepres.files import read_file

XML_FILES = "*.[xX][mM][lL]"
DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)""")
FLAGS = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y"), True),
    **dict.fromkeys(("", "0", "0.0", "false", "f", "no", "n", "unspecified"), False),
}
"""What <difficult> may say, in small letters."""


@dataclass(frozen=True)
class VocObject:
    """What a file says of one object."""

    name: str
    corners: Box
    """The first and the last pixel, as published; NaN where there is no number."""
    difficult: str
    """As written; "" if it does not say."""


@dataclass(frozen=True)
class VocAnnotation:
    """What a file says of an image."""

    width: int
    height: int
    """0 where it does not say."""
    objects: tuple[VocObject, ...]


def read_annotation(file: Path) -> VocAnnotation:
    """Read one image's XML file: in any encoding, namespace or wrapping element.

    Raises:
        UserError: it is missing, not well-formed XML, or not one annotation of VOC's.
    """
    root = _parsed(file)
    for element in root.iter():  # {namespace}Object is object
        element.tag = element.tag.rpartition("}")[2].lower()
    images = sum(len(each) > 0 for each in root.iter("annotation"))  # <source> has one of text
    if images > 1:
        raise UserError(f"{file} holds {images} annotations; one was expected")
    if not {"annotation", "object", "size"} & {element.tag for element in root.iter()}:
        raise UserError(f"{file} is no annotation of VOC's: it has no <annotation>")
    objects = tuple(
        VocObject(
            name=_text(each, "name"),
            corners=(
                number(_text(each, "bndbox/xmin")),
                number(_text(each, "bndbox/ymin")),
                number(_text(each, "bndbox/xmax")),
                number(_text(each, "bndbox/ymax")),
            ),
            difficult=_text(each, "difficult"),
        )
        for each in root.iter("object")
    )
    width, height = (number(_text(root, f".//size/{side}")) for side in ("width", "height"))
    known = math.isfinite(width) and math.isfinite(height)
    return VocAnnotation(*((int(width), int(height)) if known else (0, 0)), objects)


def _parsed(file: Path) -> ElementTree.Element:
    content = read_file(file)
    try:
        return _element(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # also odd encodings
        raise UserError(
            f"{file} is not well-formed XML ({error}); mend it, or unpack the data set anew"
        ) from error


def _element(content: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(content)
    except ValueError:  # the parser knows no encoding of several bytes a character, like gb2312
        if not (declared := DECLARED.match(content)):
            raise
        return ElementTree.fromstring(content.decode(declared[1].decode("ascii")))


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
