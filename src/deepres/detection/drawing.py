"""Pictures with what was found on them: boxes, masks, and labels that can be read.

Own code rather than torchvision's ``draw_bounding_boxes``: there labels run out of the picture and
over each other, and neither they nor the lines grow with the image.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

Color = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels, x2 and y2 exclusive."""

COLORS: tuple[Color, ...] = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)
"""Okabe & Ito's, told apart by any kind of sight; of more than seven classes some share one."""
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
SMALL = 400
"""An image whose longer side is shorter than this is enlarged, so that labels have room."""
MASK_OPACITY = 0.35


def draw_detections(
    image: Image.Image,
    boxes: Tensor,
    names: Sequence[str],
    scores: Tensor | None,
    masks: Tensor | None = None,
    classes: Sequence[str] = (),
) -> Image.Image:
    """Return ``image`` with a box and a label around each object.

    Lines and labels grow with the image. A label stays inside the picture, and keeps clear of
    those of objects before it where there is a place. An image below ``SMALL`` pixels is enlarged
    by a whole factor.

    Args:
        image: of any mode; it is not changed.
        boxes: (N, 4) as x1, y1, x2, y2 in the image's pixels, the most certain first.
        names: of the N objects' classes.
        scores: (N,), in [0, 1]; None: there are none, as for annotated objects.
        masks: (N, height, width) bool, which pixels are each object's.
        classes: all there are; a class has the same colour in all pictures that are given the
            same. Nothing: those on this picture.
    """
    factor = max(1, math.ceil(SMALL / max(image.size)))
    width, height = image.width * factor, image.height * factor
    picture = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    order = {name: i for i, name in enumerate(classes or sorted(set(names)))}
    colors = [COLORS[order[name] % len(COLORS)] for name in names]
    outlines = [_inside(box, picture.size) for box in (boxes * factor).tolist()]
    line = max(1, round(math.sqrt(width * height) / 220))
    for mask, color in zip(masks if masks is not None else (), colors, strict=False):
        _draw_mask(picture, mask, color, max(1, line // 2))
    draw = ImageDraw.Draw(picture)
    for outline, color in reversed(list(zip(outlines, colors, strict=True))):
        _draw_box(draw, outline, color, line)
    texts = list(names)
    if scores is not None:
        texts = [f"{name} {score:.2f}" for name, score in zip(names, scores.tolist(), strict=True)]
    style = LabelStyle.of(picture)
    texts = [style.fitted(text, width) for text in texts]
    places: list[Rectangle] = []
    for text, outline in zip(texts, outlines, strict=True):
        places.append(place_label(style.size(text), outline, picture.size, places))
    for text, place, color in reversed(list(zip(texts, places, colors, strict=True))):
        style.draw(draw, text, place, color)
    return picture


def contact_sheet(
    pictures: Sequence[Image.Image],
    columns: int,
    headings: Sequence[str] = (),
    cell: int = 480,
) -> Image.Image:
    """Return ``pictures`` side by side on white, row by row.

    Args:
        pictures: at least one; those larger than a cell are shrunk.
        columns: how many stand in a row.
        headings: over the columns, where given.
        cell: width and greatest height of each picture, in pixels.
    """
    gap, size = cell // 40, cell // 24
    shrunk = [picture.convert("RGB") for picture in pictures]
    for picture in shrunk:
        picture.thumbnail((cell, cell), Image.Resampling.LANCZOS)
    rows = [shrunk[i : i + columns] for i in range(0, len(shrunk), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    head = 2 * size if headings else 0
    across = min(columns, len(shrunk))
    total = (gap + across * (cell + gap), head + gap + sum(height + gap for height in heights))
    sheet = Image.new("RGB", total, WHITE)
    draw = ImageDraw.Draw(sheet)
    for i, heading in enumerate(headings[:across]):
        middle = gap + i * (cell + gap) + cell // 2
        draw.text((middle, head // 2 + gap // 2), heading, BLACK, _font(size), anchor="mm")
    tops = itertools.accumulate((height + gap for height in heights), initial=head + gap)
    for top, height, row in zip(tops, heights, rows, strict=False):
        for i, picture in enumerate(row):
            left = gap + i * (cell + gap) + (cell - picture.width) // 2
            sheet.paste(picture, (left, top + (height - picture.height) // 2))
    return sheet


@dataclass(frozen=True)
class LabelStyle:
    """How labels of one picture look."""

    font: ImageFont.FreeTypeFont
    padding: int

    @classmethod
    def of(cls, picture: Image.Image) -> "LabelStyle":
        """Return what suits a picture of this size."""
        size = max(11, round(math.sqrt(picture.width * picture.height) / 30))
        size = min(size, max(6, picture.height // 2))  # on a strip, too
        return cls(_font(size), max(1, size // 6))

    def size(self, text: str) -> tuple[int, int]:
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
        draw.text(ink, text, _contrasting(color), self.font, anchor="ls")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which has the letters of most alphabets and comes with Matplotlib."""
    import matplotlib as mpl  # takes half a second

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def _contrasting(color: Color) -> Color:
    """Return black or white, whichever is easier to read on ``color``."""
    linear = [(value / 255) ** 2.2 for value in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return BLACK if luminance > 0.18 else WHITE  # at 0.18 their contrast ratios are the same


def _inside(box: Sequence[float], size: tuple[int, int]) -> Rectangle:
    """Return the pixels of ``box``, at least one, that are on a picture of ``size``."""
    starts = [min(max(0, round(box[i])), size[i] - 1) for i in (0, 1)]
    ends = [max(min(size[i], round(box[i + 2])), starts[i] + 1) for i in (0, 1)]
    return starts[0], starts[1], ends[0], ends[1]


def _draw_box(draw: ImageDraw.ImageDraw, outline: Rectangle, color: Color, line: int) -> None:
    """Draw a line with a thin edge that sets it off from any ground."""
    x1, y1, x2, y2 = outline
    line = max(1, min(line, (x2 - x1) // 8, (y2 - y1) // 8))  # small objects stay in sight
    edge = max(1, line // 4)
    around = (x1 - edge, y1 - edge, x2 - 1 + edge, y2 - 1 + edge)
    draw.rectangle(around, outline=_contrasting(color), width=line + 2 * edge)
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=color, width=line)


def _draw_mask(picture: Image.Image, mask: Tensor, color: Color, line: int) -> None:
    """Tint an object's pixels, and draw its outline."""
    pixels = Image.fromarray(mask.numpy().astype("uint8") * 255).resize(picture.size)
    # An inner pixel is one whose neighbours all belong to the object: their mean is its own value.
    inner = pixels.filter(ImageFilter.BoxBlur(line)).point(lambda mean: 255 * (mean == 255))
    picture.paste(color, (0, 0), pixels.point(lambda value: round(MASK_OPACITY * value)))
    picture.paste(color, (0, 0), ImageChops.subtract(pixels, inner))


def place_label(
    label: tuple[int, int], outline: Rectangle, picture: tuple[int, int], taken: Sequence[Rectangle]
) -> Rectangle:
    """Return where a label stands at its box: where it covers least of the labels before it.

    Among such places the first of: above the box, inside its top, below, inside its bottom; left,
    then right; moved into the picture where it would run out of it.

    Args:
        label: its width and height, not more than the picture's.
        outline: the object's box.
        picture: its width and height.
        taken: where the labels before it stand.
    """
    width, height = label
    x1, y1, x2, y2 = outline
    places = []
    for x, y in itertools.product((x1, x2 - width), (y1 - height, y1, y2, y2 - height)):
        left = max(0, min(x, picture[0] - width))
        top = max(0, min(y, picture[1] - height))
        places.append((left, top, left + width, top + height))
    return min(places, key=lambda place: sum(_overlap(place, other) for other in taken))


def _overlap(a: Rectangle, b: Rectangle) -> int:
    """Return how many pixels two rectangles share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height)
