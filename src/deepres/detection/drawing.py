"""Pictures with what was found on them: boxes, masks, and labels that can be read.

Own code rather than torchvision's ``draw_bounding_boxes``: there labels run out of the picture and
over each other, and neither they nor the lines grow with the image.
"""

import itertools
import math
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter
from torch import Tensor

from deepres.detection.labels import (
    BLACK,
    WHITE,
    Color,
    Rectangle,
    contrasting,
    enlargement,
    font_of_size,
    placed_labels,
    style_for,
)

COLORS: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Okabe & Ito's, told apart by any kind of sight; of more than seven classes some share one."""
MASK_OPACITY = 0.35
CELL = 480
"""Width and greatest height of a picture on a sheet, in pixels."""


def draw_detections(
    image: Image.Image,
    boxes: Tensor,
    names: Sequence[str],
    scores: Tensor | None,
    masks: Tensor | None = None,
    classes: Sequence[str] = (),
) -> Image.Image:
    """Return ``image`` with a box and a label around each object.

    Lines and labels grow with the image. A label stays inside the picture and hides little; many
    are smaller, without their scores, or only on the surest objects. An image is enlarged by a
    whole factor where labels could not be read.

    Args:
        image: of any mode; it is not changed.
        boxes: (N, 4) as x1, y1, x2, y2 in the image's pixels, the most certain first.
        names: of the N objects' classes.
        scores: (N,), in [0, 1]; None: there are none, as for annotated objects.
        masks: (N, height, width) bool, which pixels are each object's.
        classes: all there are; a class has the same colour in all pictures that are given the
            same. Nothing: those on this picture.
    """
    said = (
        [f"{score:.2f}" for score in scores.tolist()] if scores is not None else [""] * len(names)
    )
    texts = [f"{name} {score}" for name, score in zip(names, said, strict=True)]
    factor = enlargement(image.size, texts)
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
    style = style_for(picture.size, texts)
    for i, text, place in placed_labels(style, names, said, outlines, picture.size):
        style.draw(draw, text, place, colors[i])
    return picture


def contact_sheet(
    pictures: Sequence[Image.Image],
    columns: int,
    headings: Sequence[str] = (),
    title: str = "",
) -> Image.Image:
    """Return ``pictures`` side by side on white, row by row.

    Args:
        pictures: at least one; those larger than a ``CELL`` are shrunk.
        columns: how many stand in a row.
        headings: over the columns, where given.
        title: over all of them.
    """
    gap, size = CELL // 40, CELL // 24
    shrunk = [picture.convert("RGB") for picture in pictures]
    for picture in shrunk:
        picture.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    rows = [shrunk[i : i + columns] for i in range(0, len(shrunk), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    above = 2 * size if title else 0
    head = above + (2 * size if headings else 0)
    across = min(columns, len(shrunk))
    total = (gap + across * (CELL + gap), head + gap + sum(height + gap for height in heights))
    sheet = Image.new("RGB", total, WHITE)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((gap, size + gap // 2), title, BLACK, font_of_size(size, title), anchor="lm")
    for i, heading in enumerate(headings[:across]):
        middle = gap + i * (CELL + gap) + CELL // 2
        font = font_of_size(size, heading)
        draw.text((middle, (above + head + gap) // 2), heading, BLACK, font, anchor="mm")
    tops = itertools.accumulate((height + gap for height in heights), initial=head + gap)
    for top, height, row in zip(tops, heights, rows, strict=False):
        for i, picture in enumerate(row):
            left = gap + i * (CELL + gap) + (CELL - picture.width) // 2
            sheet.paste(picture, (left, top + (height - picture.height) // 2))
    return sheet


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
    draw.rectangle(around, outline=contrasting(color), width=line + 2 * edge)
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=color, width=line)


def _draw_mask(picture: Image.Image, mask: Tensor, color: Color, line: int) -> None:
    """Tint an object's pixels, and draw its outline."""
    pixels = Image.fromarray(mask.numpy().astype("uint8") * 255).resize(picture.size)
    # An inner pixel is one whose neighbours all belong to the object: their mean is its own value.
    inner = pixels.filter(ImageFilter.BoxBlur(line)).point(lambda mean: 255 * (mean == 255))
    picture.paste(color, (0, 0), pixels.point(lambda value: round(MASK_OPACITY * value)))
    picture.paste(color, (0, 0), ImageChops.subtract(pixels, inner))
