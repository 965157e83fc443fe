from pathlib import Path

import pytest
import torch

from deepres.data.imagenet import ImageNetClass, save_classes
from deepres.errors import UserError
from deepres.evaluation.scores import Scores
from deepres.evaluation.submission import submission_ids, write_submission


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
