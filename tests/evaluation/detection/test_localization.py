import pytest
import torch

from deepres.data.detection.records import Objects
from deepres.evaluation.detection.localization import localization_error_pct, right_guesses


def objects(*boxes: tuple[int, int, int, int], label: int = 1, ignored: bool = False) -> Objects:
    count = len(boxes)
    return Objects(
        torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        torch.full((count,), label),
        torch.full((count,), ignored),
    )


def guesses(*each: tuple[int, tuple[int, int, int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """The guesses for one image."""
    classes = torch.tensor([[label for label, _ in each]])
    return classes, torch.tensor([[box for _, box in each]], dtype=torch.float32)


@pytest.mark.parametrize(
    ("box", "right"),
    [
        ((0, 0, 10, 10), True),
        ((0, 0, 20, 10), True),  # 100 of 200: exactly a half
        ((0, 0, 21, 10), False),
        ((0, 0, 10, 5), True),
        ((0, 0, 10, 4), False),
        ((5, 0, 15, 10), False),  # 50 of 150
        ((20, 20, 30, 30), False),
    ],
)
def test_a_box_must_overlap_by_half(box: tuple[int, int, int, int], right: bool) -> None:
    assert right_guesses(*guesses((1, box)), [objects((0, 0, 10, 10))]).item() is right


def test_the_class_must_be_right_too() -> None:
    whole = (0, 0, 10, 10)
    found = right_guesses(*guesses((2, whole), (1, whole)), [objects(whole)])
    assert found.tolist() == [[False, True]]
    assert localization_error_pct(found, 1) == 100
    assert localization_error_pct(found, 5) == 0


def test_class_and_box_must_be_right_in_the_same_guess() -> None:
    found = right_guesses(
        *guesses((1, (50, 50, 60, 60)), (2, (0, 0, 10, 10))), [objects((0, 0, 10, 10))]
    )
    assert not found.any()


def test_any_object_of_the_class_will_do() -> None:
    truth = objects((0, 0, 10, 10), (40, 40, 60, 60))
    assert right_guesses(*guesses((1, (40, 42, 60, 60))), [truth]).item()


def test_ignored_objects_and_images_without_objects_are_never_right() -> None:
    whole = (0, 0, 10, 10)
    assert not right_guesses(*guesses((1, whole)), [objects(whole, ignored=True)]).any()
    assert not right_guesses(*guesses((1, whole)), [objects()]).any()


def test_errors_are_shares_of_all_images() -> None:
    right = torch.tensor(
        [
            [True, False, False, False, False, False],
            [False, False, False, False, True, False],
            [False, False, False, False, False, True],  # a sixth guess does not count
            [False, False, False, False, False, False],
        ]
    )
    assert localization_error_pct(right, 1) == 75
    assert localization_error_pct(right, 5) == 50
