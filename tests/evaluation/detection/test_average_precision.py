import math

import numpy as np
import pytest

from deepres.evaluation.detection.average_precision import area, eleven_points

# The worked example of Padilla et al., "A survey on performance metrics for object-detection
# algorithms" (2020): 15 objects, 24 detections, of which these are right.
RIGHT = [1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]


def curve(right: list[int], objects: int) -> tuple[np.ndarray, np.ndarray]:
    true = np.cumsum(right, dtype=float)
    return true / objects, true / np.arange(1, len(right) + 1)


def test_both_averages_of_a_published_example() -> None:
    recall, precision = curve(RIGHT, 15)
    assert 100 * eleven_points(recall, precision) == pytest.approx(26.84, abs=0.005)
    assert 100 * area(recall, precision) == pytest.approx(24.57, abs=0.005)


def test_by_hand() -> None:
    """Right, wrong, wrong, right, of 3 objects: precision 1 to recall 1/3, 1/2 to 2/3, then 0."""
    recall, precision = curve([1, 0, 0, 1], 3)
    assert eleven_points(recall, precision) == pytest.approx((4 * 1 + 3 * 0.5) / 11)
    assert area(recall, precision) == pytest.approx(1 / 3 + 1 / 6)


@pytest.mark.parametrize("found", range(11))
def test_thresholds_of_recall_are_exact(found: int) -> None:
    """0.3, 0.6 and 0.7 are where adding up 0.1 exceeds the tenths."""
    assert eleven_points(*curve([1] * found, 10)) == pytest.approx(
        ((found + 1) if found else 0) / 11
    )
    assert area(*curve([1] * found, 10)) == pytest.approx(found / 10)


def test_precision_is_made_monotone_from_the_right() -> None:
    """Wrong, then right: the precision of 1/2 holds from recall 0 on."""
    assert area(*curve([0, 1], 1)) == 0.5
    assert eleven_points(*curve([0, 1], 1)) == pytest.approx(0.5)


def test_nothing_found_is_0() -> None:
    assert area(np.empty(0), np.empty(0)) == 0
    assert eleven_points(np.empty(0), np.empty(0)) == 0
    assert not math.isnan(area(*curve([0, 0], 5)))
