import torch
from torch import nn

from deepres.training.state import TrainingState


def plateaus_after(errors: list[float], patience: int | None) -> list[int]:
    """How often the rate has dropped after each of these evaluations."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters())
    state = TrainingState(nn.Module(), optimizer, 1, torch.device("cpu"))  # type: ignore[arg-type]
    found = []
    for error in errors:
        state.note_plateau(error, patience)
        found.append(state.plateaus)
    return found


def test_a_plateau_is_so_many_evaluations_without_a_lower_error() -> None:
    errors = [50.0, 40.0, 41.0, 40.0, 42.0, 39.0, 39.5, 39.5, 39.0, 39.0, 39.0, 39.0]
    assert plateaus_after(errors, 3) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3]
    assert plateaus_after(errors, 1) == [0, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]
    assert plateaus_after(errors, None) == [0] * len(errors)
