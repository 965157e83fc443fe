import torch
from torch import Tensor

from deepres.detection.refine import refine, regressed, vote
from deepres.detection.scored import Scored


def test_a_region_is_moved_to_the_box_of_its_likeliest_class() -> None:
    scores = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])  # the background does not count
    boxes = torch.arange(24.0).reshape(2, 3, 4)
    assert regressed(Scored(scores, boxes)).tolist() == [[4, 5, 6, 7], [20, 21, 22, 23]]


def test_regressed_boxes_are_scored_again_and_join_the_old_ones() -> None:
    """A detector that moves every region two pixels to the right, and grows more certain."""
    asked = []

    def score(boxes: Tensor) -> Scored:
        asked.append(boxes)
        certainty = torch.full((len(boxes),), 0.3 + 0.4 * (len(asked) - 1))
        moved = boxes + torch.tensor([2.0, 0, 2, 0])
        return Scored(
            torch.stack([1 - certainty, certainty], dim=1), torch.stack([boxes * 0, moved], dim=1)
        )

    proposals = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]])
    found = refine(score(proposals), score)
    assert asked[1].tolist() == [[2, 0, 12, 10], [22, 20, 42, 40]]
    assert found.boxes[:, 1].tolist() == [
        *([2, 0, 12, 10], [22, 20, 42, 40]),
        *([4, 0, 14, 10], [24, 20, 44, 40]),
    ]
    torch.testing.assert_close(found.scores[:, 1], torch.tensor([0.3, 0.3, 0.7, 0.7]))


def test_votes_are_weighted_by_score() -> None:
    boxes = torch.tensor(
        [
            [0.0, 0, 12, 10],  # kept
            [4, 0, 12, 10],  # IoU 2/3: votes
            [0, 0, 6, 10],  # IoU 1/2: votes
            [0, 0, 5, 10],  # IoU 5/12: does not
            [0, 0, 12, 10],  # of another class
        ]
    )
    scores = torch.tensor([0.8, 0.2, 0.6, 0.9, 0.7])
    labels = torch.tensor([1, 1, 1, 1, 2])
    places = vote(boxes[[0, 4]], labels[[0, 4]], boxes, scores, labels)
    left, right = 0.2 * 4 / 1.6, (0.8 * 12 + 0.2 * 12 + 0.6 * 6) / 1.6
    torch.testing.assert_close(places, torch.tensor([[left, 0, right, 10], [0, 0, 12, 10]]))
