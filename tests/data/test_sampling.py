import torch
from hypothesis import given
from hypothesis import strategies as st

from deepres.data.sampling import CropSampler, WindowSampler

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


@given(
    images=st.integers(1, 50),
    batch_size=st.integers(1, 70),
    steps=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    seed=st.integers(0, 2**40),
)
def test_a_batch_of_crops_is_a_function_of_seed_and_step(images, batch_size, steps, seed) -> None:
    used = CropSampler(images, batch_size, (36, 48), True, seed)
    for step in steps:  # after any history
        fresh = CropSampler(images, batch_size, (36, 48), True, seed).batch(step)
        for expected, found in zip(fresh, used.batch(step), strict=True):
            assert torch.equal(expected, found)


def test_crops_are_drawn_uniformly_from_the_ranges_both_ends_included() -> None:
    n = 40_000
    draws = CropSampler(n, n, (256, 259), True, 0).batch(0)
    assert draws.image.sort().values.tolist() == list(range(n))
    share = torch.bincount(draws.short_side - 256) / n
    assert share.shape == (4,)
    assert (share - 1 / 4).abs().max() < 0.01
    for column in (draws.top, draws.left):
        assert column.min() >= 0
        assert column.max() < 1
        assert (torch.histc(column, 10, 0, 1) / n - 0.1).abs().max() < 0.01
    assert abs(draws.flip.float().mean() - 0.5) < 0.02
    assert draws.colour.shape == (n, 3)
    torch.testing.assert_close(draws.colour.T.cov(), torch.eye(3), atol=0.03, rtol=0)
    assert draws.colour.mean(0).abs().max() < 0.02
    columns = [draws.short_side, draws.top, draws.left, draws.flip, *draws.colour.T]
    together = torch.stack([column.float() for column in columns]).corrcoef()
    assert (together - torch.eye(7)).abs().max() < 0.03  # no draw serves two ends


def test_crops_can_do_without_mirror_images() -> None:
    assert not CropSampler(100, 100, (32, 32), False, 0).batch(0).flip.any()


def test_the_first_crops_never_change() -> None:
    # A literal, as above.
    draws = CropSampler(1_000, 3, (256, 480), True, 0).batch(0)
    assert draws.image.tolist() == [261, 608, 155]
    assert draws.short_side.tolist() == [364, 302, 454]
    assert draws.flip.tolist() == [False, False, False]
    torch.testing.assert_close(draws.top, torch.tensor([0.3218, 0.8641, 0.8802]), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        draws.left, torch.tensor([0.3580, 0.3421, 0.8831]), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(
        draws.colour[0], torch.tensor([0.0349, -0.1951, 0.1206]), atol=1e-4, rtol=0
    )
