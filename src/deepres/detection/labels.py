"""Labels of objects on a picture: how large they are, where they stand, and which are left out."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

from deepres.fonts import font_for

Color = tuple[int, int, int]
Size = tuple[int, int]
"""Width and height in pixels."""
Rectangle = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels, x2 and y2 exclusive."""

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
SMALL = 400
"""An image whose longer side is shorter than this is enlarged, so that labels have room."""
LARGE = 2_000
"""None is enlarged beyond this."""
CROWDED = 0.12
"""Labels that would cover a larger share of the picture are written smaller."""
SMALLEST = 11
"""Pixels of a letter's height that can still be read; a picture with too small ones is enlarged."""
MOST_HIDDEN = 0.1
"""A label that hides a larger share of another is left out."""

ORDER = 0.02
"""What share of an object a label may hide more to stand at one place and not at the next."""


@dataclass(frozen=True)
class LabelStyle:
    """How labels of one picture look."""

    font: ImageFont.FreeTypeFont
    padding: int

    @classmethod
    def of_size(cls, size: float, texts: Sequence[str] = ()) -> "LabelStyle":
        """Return the style of letters so many pixels high, in a font that can write ``texts``."""
        return cls(font_of_size(max(1, round(size)), "".join(texts)), max(1, round(size) // 6))

    def size(self, text: str) -> Size:
        """Return a label's width and height; all labels are of one height."""
        ascent, descent = self.font.getmetrics()
        return math.ceil(self.font.getlength(text)) + 2 * self.padding, ascent + descent

    def fitted(self, text: str, width: int) -> str:
        """Return ``text`` on one line, its middle left out where it is wider than ``width``."""
        text = whole = " ".join(text.split())
        kept = len(whole)
        while kept > 2 and self.size(text)[0] > width:
            kept -= 1
            text = f"{whole[: kept // 2]}…{whole[len(whole) - (kept - kept // 2) :]}"
        return text

    def draw(self, draw: ImageDraw.ImageDraw, text: str, place: Rectangle, color: Color) -> None:
        """Write ``text`` on a ground of the object's colour."""
        x1, y1, x2, y2 = place
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), color)
        ink = (x1 + self.padding, y1 + self.font.getmetrics()[0])
        draw.text(ink, text, contrasting(color), self.font, anchor="ls")


def font_of_size(size: int, text: str) -> ImageFont.FreeTypeFont:
    """Return a font that can write ``text``."""
    return ImageFont.truetype(font_for(text).file, size)


def contrasting(color: Color) -> Color:
    """Return black or white, whichever is easier to read on ``color``."""
    linear = [(value / 255) ** 2.2 for value in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return BLACK if luminance > 0.18 else WHITE  # at 0.18 their contrast ratios are the same


def enlargement(image: Size, texts: Sequence[str]) -> int:
    """Return how many times larger a picture must be for its labels to be read."""
    longer = max(image)
    if longer < SMALL:
        return math.ceil(SMALL / longer)
    wanted = math.ceil(SMALLEST / _letters(image, texts)) if texts else 1
    return max(1, min(wanted, LARGE // longer))


def style_for(picture: Size, texts: Sequence[str]) -> LabelStyle:
    """Return how labels look on a picture: they grow with it, and shrink where there are many."""
    least = min(SMALLEST, max(6, picture[1] // 2))
    return LabelStyle.of_size(max(least, _letters(picture, texts)), texts)


def _letters(picture: Size, texts: Sequence[str]) -> float:
    """Return how many pixels high letters would be that suit a picture and a number of labels."""
    area = picture[0] * picture[1]
    size = max(SMALLEST, math.sqrt(area) / 30)
    size = min(size, max(6, picture[1] // 2))  # on a strip, too
    style = LabelStyle.of_size(size, texts)
    covered = sum(math.prod(style.size(style.fitted(text, picture[0]))) for text in texts)
    return size * min(1, math.sqrt(CROWDED * area / covered)) if covered else size


def placed_labels(
    style: LabelStyle,
    names: Sequence[str],
    scores: Sequence[str],
    outlines: Sequence[Rectangle],
    picture: Size,
) -> Iterator[tuple[int, str, Rectangle]]:
    """Yield which objects get a label, what it says, and where it stands.

    Where there is no room, a label goes without its score; if it would still hide another, which
    is of a surer object, it is left out.

    Args:
        style: how labels look.
        names: of the objects' classes, the most certain first.
        scores: in words, "" where there is none.
        outlines: the objects' boxes.
        picture: its width and height.
    """
    taken: list[Rectangle] = []
    for i, (name, score, outline) in enumerate(zip(names, scores, outlines, strict=True)):
        for text in dict.fromkeys((f"{name} {score}".strip(), name)):
            fitted = style.fitted(text, picture[0])
            place = place_label(style.size(fitted), outline, picture, taken, outlines)
            if all(_hidden(place, other) <= MOST_HIDDEN for other in taken):
                taken.append(place)
                yield i, fitted, place
                break


def place_label(
    label: Size,
    outline: Rectangle,
    picture: Size,
    taken: Sequence[Rectangle],
    objects: Sequence[Rectangle] = (),
) -> Rectangle:
    """Return where a label stands at its box: where it hides least.

    Labels before it count most. Then the objects count, each by the share of it that would be
    hidden, and the order: above the box, inside its top, below, inside its bottom, each left, then
    right; beside it. A place is moved into the picture where it would run out of it.

    Args:
        label: its width and height, not more than the picture's.
        outline: the object's box.
        picture: its width and height.
        taken: where the labels before it stand.
        objects: all boxes.
    """
    width, height = label
    x1, y1, x2, y2 = outline
    corners = [
        *itertools.product((x1, x2 - width), (y1 - height, y1, y2, y2 - height)),
        *itertools.product((x1 - width, x2), (y1, y2 - height)),
    ]
    costs: dict[Rectangle, tuple[float, float]] = {}
    for order, (x, y) in enumerate(corners):
        left = max(0, min(x, picture[0] - width))
        top = max(0, min(y, picture[1] - height))
        place = (left, top, left + width, top + height)
        labels, boxes = (sum(_hidden(place, other) for other in each) for each in (taken, objects))
        costs.setdefault(place, (labels, boxes + ORDER * order))
    return min(costs, key=lambda place: costs[place])


def _hidden(label: Rectangle, other: Rectangle) -> float:
    """Return the share of ``other`` that a label hides."""
    width = min(label[2], other[2]) - max(label[0], other[0])
    height = min(label[3], other[3]) - max(label[1], other[1])
    area = (other[2] - other[0]) * (other[3] - other[1])
    return max(0, width) * max(0, height) / area
