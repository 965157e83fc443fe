import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from deepres.detection.drawing import (
    COLORS,
    MASK_OPACITY,
    contact_sheet,
    draw_detections,
)

WHITE = (255, 255, 255)
GREY = (100, 100, 100)


def blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), WHITE)


def boxes(*coordinates: tuple[float, ...]) -> Tensor:
    return torch.tensor(coordinates, dtype=torch.float32).reshape(-1, 4)


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels that are drawn."""
    said: list[str] = []
    write = ImageDraw.ImageDraw.text

    def note(
        draw: ImageDraw.ImageDraw, xy: object, text: str, *more: object, **how: object
    ) -> None:
        said.append(text)
        write(draw, xy, text, *more, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", note)
    return said


def test_a_box_is_where_it_should_be_and_the_inside_is_left_alone() -> None:
    drawn = draw_detections(blank(500, 500), boxes((100, 200, 300, 400)), ["cat"], None)
    assert drawn.size == (500, 500)
    for edge in ((100, 300), (299, 300), (200, 399), (200, 200)):
        assert drawn.getpixel(edge) == COLORS[0], edge
    assert drawn.crop((110, 210, 290, 390)).getcolors() == [(180 * 180, WHITE)]
    assert drawn.getpixel((304, 300)) == WHITE


def test_nothing_found_leaves_the_picture_and_the_original_alone() -> None:
    image = blank(500, 400)
    assert draw_detections(image, boxes(), [], torch.empty(0)).tobytes() == image.tobytes()
    draw_detections(image, boxes((0, 0, 400, 400)), ["cat"], None)
    assert image.getcolors() == [(500 * 400, WHITE)]


def test_labels_say_class_and_score(labels: list[str]) -> None:
    two = boxes((0, 0, 90, 90), (200, 200, 300, 300))
    draw_detections(blank(500, 400), two, ["dog", "potted\nplant"], torch.tensor([0.876, 0.5]))
    assert sorted(labels) == ["dog 0.88", "potted plant 0.50"]
    labels.clear()
    draw_detections(blank(500, 400), two, ["dog", "cat"], None)
    assert sorted(labels) == ["cat", "dog"]


def test_a_name_too_long_keeps_its_ends(labels: list[str]) -> None:
    long = "first " + "very long " * 50 + "last"
    draw_detections(blank(500, 400), boxes((0, 0, 90, 90)), [long], torch.tensor([0.5]))
    (label,) = labels
    assert label.startswith("first very")
    assert label.endswith("last 0.50")
    assert "…" in label


def test_masks_tint_their_own_pixels_only() -> None:
    mask = torch.zeros(1, 400, 500, dtype=torch.bool)
    mask[0, 100:300, 100:200] = True
    image = Image.new("RGB", (500, 400), GREY)
    drawn = draw_detections(image, boxes((100, 100, 200, 300)), ["cat"], None, mask)
    tinted = [g + MASK_OPACITY * (c - g) for g, c in zip(GREY, COLORS[0], strict=True)]
    assert drawn.getpixel((150, 200)) == pytest.approx(tinted, abs=1.5)
    assert drawn.getpixel((250, 200)) == GREY


def test_small_images_are_enlarged_with_their_boxes_and_masks() -> None:
    mask = torch.zeros(1, 30, 50, dtype=torch.bool)
    mask[0, 10:20, 20:40] = True
    image = Image.new("RGB", (50, 30), GREY)
    drawn = draw_detections(image, boxes((20, 10, 40, 20)), ["cat"], None, mask)
    assert drawn.size == (400, 240)
    assert drawn.getpixel((160, 120)) == COLORS[0]
    assert drawn.getpixel((240, 120)) not in (GREY, COLORS[0])
    assert drawn.getpixel((100, 120)) == GREY
    assert draw_detections(blank(401, 2), boxes(), [], None).size == (401, 2)


def label_height(side: int) -> int:
    """The rows that a label takes above a box at the middle of a picture."""
    drawn = draw_detections(blank(side, side), boxes((0, side / 2, side, side)), ["cat"], None)
    column = drawn.crop((1, 0, 2, side // 2 - side // 300))
    return sum(count for count, color in column.getcolors() if color == COLORS[0])


def test_labels_grow_with_the_image() -> None:
    small, large = label_height(600), label_height(3_000)
    assert small >= 15
    assert large > 4 * small


def test_colours_are_the_classes_own_and_contrast_with_their_text() -> None:
    at = boxes((100, 100, 200, 200))
    dog, cat = (
        draw_detections(blank(400, 400), at, [name], None, classes=("cat", "dog")).getpixel(
            (100, 150)
        )
        for name in ("dog", "cat")
    )
    assert (cat, dog) == COLORS[:2]
    for i, color in enumerate(COLORS):
        names = [str(n) for n in range(len(COLORS))]
        drawn = draw_detections(blank(400, 400), at, [names[i]], None, classes=names)
        shades = [luminance(shade) for _, shade in drawn.crop((100, 82, 112, 98)).getcolors()]
        ground = luminance(color)
        best = max((max(s, ground) + 0.05) / (min(s, ground) + 0.05) for s in shades)
        assert best > 4.5  # what WCAG 2 asks of text


def luminance(color: tuple[int, ...]) -> float:
    """WCAG's relative luminance."""
    shares = [c / 255 for c in color]
    r, g, b = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (2_000, 3), (700, 500)])
def test_any_image_and_boxes_beyond_its_border(mode: str, size: tuple[int, int]) -> None:
    odd = boxes((-50, -9, 1e5, 1e5), (0, 0, 0.1, 0.1), (9e3, 9e3, 9e4, 9e4))
    names = ["all", "a corner", "beyond"]
    drawn = draw_detections(Image.new(mode, size), odd, names, torch.tensor([0.9, 0.8, 0.7]))
    assert drawn.mode == "RGB"
    assert len(drawn.getcolors(1 << 20)) > 3


def test_a_contact_sheet_has_all_pictures_in_rows() -> None:
    sizes = [(300, 200), (960, 480), (100, 480)]
    sheet = contact_sheet([Image.new("RGB", size, GREY) for size in sizes], 2)
    assert sheet.size == (12 + 2 * 492, 12 + 252 + 492)
    # 300×200 in the middle of its cell; 960×480 shrunk to 480×240; the third below.
    count = next(count for count, color in sheet.getcolors(1 << 20) if color == GREY)
    assert count == 300 * 200 + 480 * 240 + 100 * 480
    assert sheet.getpixel((12 + 240, 12 + 120)) == GREY
    assert sheet.getpixel((12 + 20, 12 + 120)) == WHITE
    with_headings = contact_sheet([blank(480, 480)] * 2, 2, ("annotated", "found"))
    assert with_headings.height == 40 + 12 + 492
    assert len(with_headings.crop((0, 0, 984, 50)).getcolors()) > 2
