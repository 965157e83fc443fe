import torch
from hypothesis import given
from hypothesis import strategies as st

from deepres.data.sampling import WindowSampler

CPU = torch.device("cpu")


@given(
    images=st.integers(1, 50),
    batch_size=st.integers(1, 70),
    steps=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    seed=st.integers(0, 2**40),
)
def test_a_batch_is_a_function_of_seed_and_step(images, batch_size, steps, seed) -> None:
    in_order = WindowSampler(images, batch_size, 4, True, seed, CPU)
    row = [in_order.batch(step) for step in range(41)]
    for step in steps:
        fresh = WindowSampler(images, batch_size, 4, True, seed, CPU).batch(step)
        again = in_order.batch(step)  # after any history
        for expected, a, b in zip(row[step], fresh, again, strict=True):
            assert torch.equal(expected, a)
            assert torch.equal(expected, b)


@given(images=st.integers(1, 50), batch_size=st.integers(1, 20))
def test_each_epoch_takes_each_image_once(images: int, batch_size: int) -> None:
    sampler = WindowSampler(images, batch_size, 4, True, 0, CPU)
    row = torch.cat([sampler.batch(step).image for step in range(2 * images)])
    for epoch in range(2):
        part = row[epoch * images : (epoch + 1) * images]
        assert part.sort().values.tolist() == list(range(images))


def test_draws_are_uniform_and_differ_by_epoch_and_seed() -> None:
    n = 20_000
    sampler = WindowSampler(n, n, 4, True, 0, CPU)
    first, second = sampler.batch(0), sampler.batch(1)
    other = WindowSampler(n, n, 4, True, 1, CPU).batch(0)
    assert not torch.equal(first.image, second.image)
    assert not torch.equal(first.image, other.image)
    for column in (first.top, first.left):
        share = torch.bincount(column, minlength=9) / n
        assert share.shape == (9,)
        assert (share - 1 / 9).abs().max() < 0.01
    assert abs(first.flip.float().mean() - 0.5) < 0.02


def test_no_flip_and_no_pad() -> None:
    draws = WindowSampler(100, 100, 0, False, 0, CPU).batch(0)
    assert not draws.flip.any()
    assert not draws.top.any()
    assert not draws.left.any()


def test_the_first_draws_never_change() -> None:
    # A literal: a change here would make every earlier run impossible to repeat.
    draws = WindowSampler(1_000, 4, 4, True, 0, CPU).batch(0)
    assert [column.tolist() for column in draws] == [
        [261, 608, 155, 987],
        [0, 1, 0, 6],
        [3, 8, 0, 6],
        [False, False, True, False],
    ]
