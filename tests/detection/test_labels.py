import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepres.detection.labels import (
    CROWDED,
    LARGE,
    MOST_HIDDEN,
    SMALLEST,
    LabelStyle,
    Rectangle,
    enlargement,
    place_label,
    placed_labels,
    style_for,
)


def inside(place: Rectangle, width: int, height: int) -> bool:
    return 0 <= place[0] <= place[2] <= width and 0 <= place[1] <= place[3] <= height


def covered(a: Rectangle, b: Rectangle) -> int:
    """How many pixels two rectangles share."""
    across, down = (range(max(a[i], b[i]), min(a[i + 2], b[i + 2])) for i in (0, 1))
    return len(across) * len(down)


def area(box: Rectangle) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def crowd(count: int, width: int, height: int, largest: int) -> list[Rectangle]:
    draw = random.Random(1)
    boxes = []
    for _ in range(count):
        w, h = draw.randint(12, largest), draw.randint(12, largest)
        x, y = draw.randint(0, width - w), draw.randint(0, height - h)
        boxes.append((x, y, x + w, y + h))
    return boxes


@given(
    *(st.integers(1, 60), st.integers(1, 20)),
    st.tuples(st.integers(0, 79), st.integers(0, 39), st.integers(1, 80), st.integers(1, 40)),
)
def test_a_label_stays_inside_the_picture(width: int, height: int, box: Rectangle) -> None:
    outline = (box[0], box[1], min(80, box[0] + box[2]), min(40, box[1] + box[3]))
    place = place_label((width, height), outline, (80, 40), [], [outline])
    assert inside(place, 80, 40)
    assert (place[2] - place[0], place[3] - place[1]) == (width, height)


def test_a_label_stands_above_its_box_unless_there_is_no_room() -> None:
    assert place_label((30, 10), (20, 50, 90, 80), (100, 100), []) == (20, 40, 50, 50)
    assert place_label((30, 10), (20, 0, 90, 80), (100, 100), []) == (20, 0, 50, 10)
    assert place_label((30, 10), (95, 50, 99, 80), (100, 100), []) == (70, 40, 100, 50)


def test_labels_of_one_box_keep_clear_of_each_other() -> None:
    taken: list[Rectangle] = []
    for _ in range(8):
        taken.append(place_label((30, 10), (20, 30, 90, 80), (100, 100), taken))
    for a, b in itertools.combinations(taken, 2):
        assert not covered(a, b)


def test_a_label_hides_no_small_object_if_it_can_stand_elsewhere() -> None:
    """Above is the usual place; two small boxes are there, and below there are none."""
    box, above = (20, 30, 90, 80), [(22, 22, 30, 28), (62, 22, 70, 28)]
    place = place_label((30, 10), box, (100, 100), [], [box, *above])
    assert place == (20, 80, 50, 90)


def test_in_a_crowd_labels_hide_neither_each_other_nor_whole_objects() -> None:
    boxes, size = crowd(60, 640, 480, 80), (640, 480)
    names, scores = ["wine glass"] * 60, ["0.50"] * 60
    texts = ["wine glass 0.50"] * 60
    factor = enlargement(size, texts)
    picture = (640 * factor, 480 * factor)
    boxes = [tuple(side * factor for side in box) for box in boxes]
    labels = list(placed_labels(style_for(picture, texts), names, scores, boxes, picture))
    places = [place for *_, place in labels]
    for first, later in itertools.combinations(places, 2):
        assert covered(first, later) <= MOST_HIDDEN * area(first)
    hidden = [sum(covered(p, box) for p in places) / area(box) for box in boxes]
    assert sum(share > 0.75 for share in hidden) <= 3
    assert len(labels) > 45
    assert {text for _, text, _ in labels} <= {"wine glass 0.50", "wine glass"}
    assert [i for i, *_ in labels] == sorted(i for i, *_ in labels)


def test_where_there_is_no_room_the_surest_objects_have_their_labels() -> None:
    same = [(20, 20, 60, 60)] * 40
    style = LabelStyle.of_size(11)
    found = list(placed_labels(style, ["cat"] * 40, ["0.90"] * 40, same, (100, 100)))
    assert [i for i, *_ in found][:3] == [0, 1, 2]
    assert {"cat 0.90"} <= {text for _, text, _ in found}
    assert len(found) < 20


def test_labels_of_a_crowd_are_smaller_and_can_be_read() -> None:
    few, many = (style_for((640, 480), ["person 0.50"] * count) for count in (2, 40))
    assert few.font.size == round(math.sqrt(640 * 480) / 30)
    assert SMALLEST <= many.font.size < few.font.size
    width, height = many.size("person 0.50")
    assert 40 * width * height < 1.3 * CROWDED * 640 * 480


@pytest.mark.parametrize(
    ("size", "labels", "factor"),
    [((640, 480), 4, 1), ((640, 480), 120, 2), ((50, 30), 0, 8), ((LARGE + 1, 60), 300, 1)],
)
def test_a_picture_is_enlarged_so_that_its_labels_can_be_read(
    size: tuple[int, int], labels: int, factor: int
) -> None:
    assert enlargement(size, ["person 0.50"] * labels) == factor
