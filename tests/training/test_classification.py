from runs import on_cpu

from deepres.data.cifar10 import Cifar10
from deepres.recipes import get_recipe
from deepres.training.classification import Classification


def plateaus_after(data: Cifar10, errors: list[float], patience: int | None) -> list[int]:
    """How often the rate has dropped after each of these evaluations."""
    recipe = get_recipe("resnet8").changed(["lr_drops=", f"lr_plateau={patience}"])
    task = Classification(recipe, data, 0, on_cpu())
    found = []
    for error in errors:
        task.note_plateau(error)
        found.append(task.plateaus)
    return found


def test_a_plateau_is_so_many_evaluations_without_a_lower_error(sample: Cifar10) -> None:
    errors = [50.0, 40.0, 41.0, 40.0, 42.0, 39.0, 39.5, 39.5, 39.0, 39.0, 39.0, 39.0]
    assert plateaus_after(sample, errors, 3) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3]
    assert plateaus_after(sample, errors, 1) == [0, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]
    assert plateaus_after(sample, errors, None) == [0] * len(errors)
