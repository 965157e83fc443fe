from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepres.distributed import World
from deepres.evaluation.score_files import cached_scores, save_scores
from deepres.evaluation.scores import Scores

KEY = {"weights": "abc", "fold": False}
SCORES = Scores(
    ("b/2.JPEG", "a/ü 1.JPEG"), torch.tensor([1, -1]), torch.tensor([[0.25, 0.75], [0.5, 0.5]])
)


def never() -> Scores:
    raise AssertionError("computed in vain")


def same(a: Scores, b: Scores) -> bool:
    equal = torch.equal(a.labels, b.labels) and torch.equal(a.probabilities, b.probabilities)
    return a.names == b.names and equal


def test_scores_are_computed_once(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/scores.npz"
    assert same(cached_scores(path, KEY, lambda: SCORES), SCORES)
    found = cached_scores(path, KEY, never)
    assert same(found, SCORES)
    assert found.labels.dtype == torch.int64
    assert found.probabilities.dtype == torch.float32


def test_another_key_computes_anew(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    cached_scores(path, KEY, lambda: SCORES)
    other = Scores(("c",), torch.tensor([0]), torch.tensor([[1.0, 0.0]]))
    assert same(cached_scores(path, KEY | {"fold": True}, lambda: other), other)
    assert same(cached_scores(path, KEY | {"fold": True}, never), other)
    assert same(cached_scores(path, KEY, lambda: SCORES), SCORES)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    path, left = tmp_path / "scores.npz", f".{'0a' * 8}.tmp"
    names = [f".scores.npz{left}", f".others.npz{left}", ".scores.npz.theirs.tmp"]
    for name in names:
        (tmp_path / name).touch()
    cached_scores(path, KEY, lambda: SCORES)
    assert {each.name for each in tmp_path.iterdir()} == {path.name, *names[1:]}


def test_without_a_place_for_the_cache_scores_are_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert same(cached_scores(tmp_path / "file/scores.npz", KEY, lambda: SCORES), SCORES)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "scores.npz"
    cached_scores(path, KEY, lambda: SCORES)
    return path


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_cache_is_computed_anew_or_still_right(saved: Path, data: st.DataObject) -> None:
    content = bytearray(saved.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = saved.with_name("damaged.npz")
    damaged.write_bytes(content)
    assert same(cached_scores(damaged, KEY, lambda: SCORES), SCORES)
    assert same(cached_scores(damaged, KEY, never), SCORES)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no scores"),
        lambda path: np.savez(path, names=[]),
        lambda path: np.savez(path, key="no json"),
        lambda path: np.save(path.with_suffix(".npy"), 3) or path.with_suffix(".npy").rename(path),
    ],
)
def test_what_is_no_cache_is_replaced(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path = tmp_path / "scores.npz"
    write(path)
    assert same(cached_scores(path, KEY, lambda: SCORES), SCORES)
    assert same(cached_scores(path, KEY, never), SCORES)


def test_all_processes_compute_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the leader finds decides; the others have no file to look at."""
    monkeypatch.setattr(World, "broadcast_object", lambda world, value: leader_found)
    for leader_found in (False, True):
        computed: list[int] = []
        make: Callable[[], Scores] = lambda done=computed: done.append(1) or SCORES  # noqa: E731
        cached_scores(tmp_path / "none.npz", KEY, make, World(1, 2))
        assert len(computed) == (not leader_found)
        assert not list(tmp_path.iterdir())


def test_numpy_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    save_scores(path, SCORES, classes=["cat", "dog"])
    with np.load(path) as found:
        assert found["names"].tolist() == ["b/2.JPEG", "a/ü 1.JPEG"]
        assert found["labels"].tolist() == [1, -1]
        assert found["scores"].tolist() == [[0.25, 0.75], [0.5, 0.5]]
        assert found["classes"].tolist() == ["cat", "dog"]
