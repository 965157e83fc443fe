import pytest

from deepres.recipes import get_recipe
from deepres.training.learning_rate import LearningRate


def test_the_warm_up_ends_once_the_error_of_a_whole_window_is_below_80_percent() -> None:
    recipe = get_recipe("resnet110")
    assert recipe.log_every == 100
    rate = LearningRate(recipe)
    assert rate.at(0) == 0.01
    for step, error_pct in ((100, 85.0), (200, 80.0), (250, 10.0)):
        rate.after_window(step, error_pct)
        assert rate.at(step) == 0.01
    rate.after_window(300, 79.9)
    assert [rate.at(step) for step in (300, 31_999, 32_000, 48_000)] == [0.1, 0.1, 0.01, 0.001]
    rate.after_window(400, 95.0)  # it does not come back
    assert rate.at(400) == 0.1


def test_without_a_warm_up_there_is_none() -> None:
    assert LearningRate(get_recipe("resnet56")).at(0) == 0.1


@pytest.mark.parametrize(
    ("patience", "drops"),
    [
        (3, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3]),
        (1, [0, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]),
        (None, [0] * 12),
    ],
)
def test_a_plateau_is_so_many_evaluations_without_a_lower_error(
    patience: int | None, drops: list[int]
) -> None:
    recipe = get_recipe("resnet8").changed(["lr_drops=", f"lr_plateau={patience}"])
    rate = LearningRate(recipe)
    found = []
    for error_pct in [50.0, 40.0, 41.0, 40.0, 42.0, 39.0, 39.5, 39.5, 39.0, 39.0, 39.0, 39.0]:
        rate.after_evaluation(error_pct)
        found.append(rate.at(0))
    assert found == [recipe.lr / 10**count for count in drops]


def test_what_it_has_seen_is_taken_up() -> None:
    recipe = get_recipe("resnet110").changed(["lr_drops=", "lr_plateau=2"])
    one, other = LearningRate(recipe), LearningRate(recipe)
    for error_pct in (50.0, 60.0):
        one.after_evaluation(error_pct)
    other.load_state_dict(one.state_dict())
    assert other.at(0) == 0.01
    for each in (one, other):
        each.after_evaluation(55.0)
        each.after_window(100, 10.0)
    assert one.at(100) == other.at(100) == 0.1 / 10
    again = LearningRate(recipe)
    again.load_state_dict(one.state_dict())
    assert again.at(100) == 0.1 / 10
