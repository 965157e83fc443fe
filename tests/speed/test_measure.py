import os

import pytest
import torch

from deepres.errors import UserError
from deepres.models.complexity import total_cost
from deepres.models.create import build_empty
from deepres.recipes import get_recipe
from deepres.speed import measure as module
from deepres.speed.measure import Timing, least_bytes, measure, measure_alone
from deepres.speed.work import Work

TRAINING = Work("training", "resnet8", get_recipe("resnet8"), 8)
INFERENCE = Work("inference", "resnet8", get_recipe("resnet8"), 8)
ONCE = Timing("cpu", threads=1, turns=1, turn_s=0.0)


class Fatal:
    """Ends the process that unpickles it, as a lack of memory would."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


def test_shares_are_of_rates_in_the_same_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = iter([2e9, 4e9])
    monkeypatch.setattr(module, "limit_rate", lambda device, dtype: next(rates))
    monkeypatch.setattr(module, "copy_rate", lambda device: 1e9)
    monkeypatch.setattr(module, "seconds", lambda call, times, device: (call(), 0.25 * times)[1])
    turns: list[int] = []
    speed = measure(TRAINING, Timing("cpu", threads=1, turns=2, turn_s=0.3), on_turn=turns.append)
    cost = total_cost(build_empty("resnet8"), 32).multiply_adds
    assert speed.operations_per_image == 6 * cost
    assert speed.bytes_per_image == 3 * least_bytes(TRAINING)
    assert speed.images_per_s() == [32, 32]
    assert speed.limit_share() == [32 * 6 * cost / 2e9, 32 * 6 * cost / 4e9]
    assert speed.copy_share() == 2 * [32 * 3 * least_bytes(TRAINING) / 1e9]
    assert turns == [1, 2]


def test_more_images_share_the_weights() -> None:
    one, many = (least_bytes(Work("inference", "vgg16", None, batch)) for batch in (1, 100))
    weights = sum(p.numel() for p in build_empty("vgg16").parameters() if p.dim() > 1)
    assert one - many == pytest.approx(4 * weights * (1 - 1 / 100))
    halves = least_bytes(Work("inference", "vgg16", None, 1, "bf16"))
    assert halves == one / 2


def test_a_process_of_its_own_measures_and_can_be_killed() -> None:
    speed = measure_alone(INFERENCE, ONCE, None)
    assert speed.peak_bytes is not None
    assert 1 << 20 < speed.peak_bytes < 1 << 30
    assert speed.images_per_s()[0] > 0
    with pytest.raises(UserError, match="resnet8: the process that measured inference was killed"):
        measure_alone(INFERENCE, Timing("cpu", Fatal(), 1, 0.0), None)


def test_the_machine_is_measured_in_the_works_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    dtypes: list[torch.dtype] = []
    monkeypatch.setattr(module, "limit_rate", lambda device, dtype: dtypes.append(dtype) or 1.0)
    monkeypatch.setattr(module, "copy_rate", lambda device: 1.0)
    for precision in ("fp32", "bf16"):
        measure(Work("inference", "resnet8", None, 2, precision), ONCE)
    assert dtypes == [torch.float32, torch.bfloat16]
