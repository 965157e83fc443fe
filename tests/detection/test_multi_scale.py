from types import SimpleNamespace

import torch
from small_detector import images, small_detector

from deepres.detection.multi_scale import PUBLISHED_SCALES, ScaledImage, maxout, two_scales


def square(side: float) -> list[float]:
    return [3, 4, 3 + side, 4 + side]


# As many pixels as 224², half as wide, twice as wide, four times, a point.
BOXES = torch.tensor([square(224), square(112), square(448), square(896), square(0)]).float()


def test_the_two_scales_nearest_to_224_squared_pixels() -> None:
    magnifications = [0.25, 1.0, 4.0]  # halved, as it is, doubled
    assert two_scales(BOXES, magnifications, 600).tolist() == [[1, 0], [2, 1], *[[0, 1]] * 3]
    # 47,000, 52,000 and 54,000 pixels; wanted are 50,176.
    assert two_scales(torch.tensor([square(100)]).float(), [4.7, 5.2, 5.4], 600).tolist() == [
        [1, 0]
    ]


def test_the_preferred_area_shrinks_with_the_detector() -> None:
    """Of the published scales a detector at 240 pixels takes those that one at 600 does."""
    assert PUBLISHED_SCALES == (200, 400, 600, 800, 1000)  # appendix B
    published = [(side / 600) ** 2 for side in PUBLISHED_SCALES]
    shrunk = [area * (240 / 600) ** 2 for area in published]
    expected = [[2, 1], [4, 3], [0, 1], [0, 1], [0, 1]]
    assert two_scales(BOXES, published, 600).tolist() == expected
    assert two_scales(BOXES, shrunk, 240).tolist() == expected


def test_features_are_merged_by_the_elementwise_maximum_of_two_scales() -> None:
    seen: list[torch.Tensor] = []

    def view(magnification: float, vector: list[float]) -> SimpleNamespace:
        def vectors(boxes: torch.Tensor) -> torch.Tensor:
            seen.append(boxes)
            return torch.tensor([vector]).expand(len(boxes), -1)

        heads = SimpleNamespace(vector_length=2)
        return SimpleNamespace(
            magnification=magnification,
            vectors=vectors,
            detector=SimpleNamespace(roi_heads=heads, settings=SimpleNamespace(short_side=600)),
        )

    views = [view(0.25, [1, -3]), view(1.0, [0, -2]), view(4.0, [-5, 7])]
    assert maxout(BOXES[:3], views).tolist() == [[1, -2], [0, 7], [1, -2]]
    # No region is pooled where it is not wanted.
    assert [len(boxes) for boxes in seen] == [2, 3, 1]
    # With one scale there is nothing to merge.
    assert maxout(BOXES[:3], views[:1]).tolist() == [[1, -3]] * 3


@torch.inference_mode()
def test_a_view_pools_where_a_box_lies_in_its_scale() -> None:
    detector = small_detector().eval()
    image = images()[0]  # 50×80
    view = ScaledImage(detector, image, short_side=100)
    assert view.size == (100, 160)
    assert view.magnification == 4
    expected = detector.roi_heads.vectors(
        view.features, [torch.tensor([[8.0, 16, 60, 90]])], [view.size]
    )
    torch.testing.assert_close(view.vectors(torch.tensor([[4.0, 8, 30, 45]])), expected)


def test_the_longer_sides_limit_grows_with_the_scale() -> None:
    detector = small_detector(short_side=60, long_side=100).eval()
    assert ScaledImage(detector, torch.rand(3, 20, 100), short_side=90).size == (30, 150)
