from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_runs import PROVENANCE

from deepres.data.imagenet import ImageNetClass, save_classes
from deepres.distributed import World
from deepres.errors import UserError
from deepres.evaluation.score_files import (
    CLASSES_KEPT,
    cached_scores,
    class_errors,
    log_evaluation_entry,
    save_scores,
    submission_ids,
    write_submission,
)
from deepres.evaluation.scores import Scores
from deepres.files import read_json
from deepres.run_contents import misfit_of_evaluations
from deepres.run_folder import EVALUATIONS

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


def test_a_submission_has_a_line_of_five_ids_for_each_image_by_name(tmp_path: Path) -> None:
    ids = [100 - i for i in range(7)]
    probabilities = torch.tensor(
        [
            [0.0, 0.1, 0.2, 0.3, 0.25, 0.05, 0.1001],
            [0.7, 0.06, 0.05, 0.04, 0.08, 0.03, 0.02],
        ]
    )
    names = ("z/ILSVRC2012_test_00000001.JPEG", "a/ILSVRC2012_test_00000002.JPEG")
    for order in ([0, 1], [1, 0]):
        scores = Scores(tuple(names[i] for i in order), torch.full((2,), -1), probabilities[order])
        write_submission(tmp_path / "s.txt", scores, ids)
        expected = b"97 96 98 94 99\n100 96 99 98 97\n"
        assert (tmp_path / "s.txt").read_bytes() == expected


def test_ids_are_those_of_the_classes_in_order_and_one_without_is_named(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    with pytest.raises(UserError, match=r"ilsvrc2012\.json is missing"):
        submission_ids(tmp_path / "val", ("cat",))
    ids = {"cat": 7, "dog": 3, "emu": 5}
    save_classes(tmp_path, {wnid: ImageNetClass(ids[wnid], "", 1) for wnid in ids})
    for root in (tmp_path, tmp_path / "val"):
        assert submission_ids(root, ("dog", "cat")) == [3, 7]
    with pytest.raises(UserError, match="class 'eel' is none of ILSVRC2012's"):
        submission_ids(tmp_path, ("dog", "eel"))


def scores_of(*taken: tuple[int, int], classes: int) -> Scores:
    """Scores of images by their true class and the one that they were taken for."""
    true, found = torch.tensor(taken).T
    return Scores(tuple(map(str, taken)), true, torch.eye(classes)[found])


def test_errors_by_class_are_kept_with_the_confusion_matrix(tmp_path: Path) -> None:
    scores = scores_of((0, 0), (0, 1), (0, 0), (0, 0), (1, 1), classes=3)
    log_evaluation_entry(tmp_path, "1-crop", "these", scores, PROVENANCE, ["cat", "dog", "ox"])
    (noted,) = read_json(tmp_path / EVALUATIONS)
    assert noted["class_errors_pct"] == {"cat": 25.0, "dog": 0.0, "ox": None}  # there is no ox
    assert noted["confusion"] == [[3, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert misfit_of_evaluations([noted], "cifar10") == ""


def test_of_many_classes_the_worst_are_kept() -> None:
    classes = [f"class {i}" for i in range(CLASSES_KEPT + 1)]
    scores = scores_of((2, 2), (5, 0), *((i, i) for i in range(7, 20)), classes=len(classes))
    kept = class_errors(scores, classes)
    assert kept.keys() == {"class_errors_pct"}
    assert len(kept["class_errors_pct"]) == CLASSES_KEPT
    assert next(iter(kept["class_errors_pct"].items())) == ("class 5", 100.0)
