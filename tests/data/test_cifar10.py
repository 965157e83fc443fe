import hashlib
from pathlib import Path

import pytest
import torch

from deepres.data import cifar10
from deepres.data.cifar10 import Cifar10, ImageSet, load_cifar10, verify_cifar10
from deepres.errors import UserError


def test_the_sample_is_balanced_and_whole(sample: Cifar10) -> None:
    for part, each in ((sample.train, 500), (sample.test, 100)):
        assert part.images.shape == (10 * each, 3, 32, 32)
        assert part.images.dtype == torch.uint8
        assert part.labels.dtype == torch.int64
        assert torch.bincount(part.labels).tolist() == [each] * 10
        assert torch.bincount(part.labels[-50:]).tolist() == [5] * 10  # any stretch is balanced
    # Lossless: the very pixels, whatever decodes them.
    assert sample.fingerprint() == "8e42ba5ab26a0e42"


def test_the_last_training_images_are_held_out(sample: Cifar10) -> None:
    train, held_out = sample.split(1_000)
    assert (len(train), len(held_out)) == (4_000, 1_000)
    assert torch.equal(torch.cat([train.images, held_out.images]), sample.train.images)
    with pytest.raises(UserError, match="holdout=5000 leaves nothing to train on"):
        sample.split(5_000)
    with pytest.raises(UserError, match="holdout must be at least 0, got -5"):
        sample.split(-5)


@pytest.fixture
def small_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the official layout with five images a file, and their checksums."""
    md5 = {}
    for i, name in enumerate(cifar10.MD5):
        records = [bytes([(i + j) % 10]) + bytes([i * 5 + j]) * 3072 for j in range(5)]
        (tmp_path / name).write_bytes(b"".join(records))
        md5[name] = hashlib.md5(b"".join(records)).hexdigest()
    monkeypatch.setattr(cifar10, "MD5", md5)
    monkeypatch.setattr(cifar10, "RECORDS_PER_FILE", 5)
    return tmp_path


def test_records_are_read_in_order(small_set: Path) -> None:
    data = load_cifar10(small_set)
    assert data.train.images[:, 2, 31, 31].tolist() == list(range(25))
    assert data.test.images[:, 0, 0, 0].tolist() == list(range(25, 30))
    assert data.train.labels[:7].tolist() == [0, 1, 2, 3, 4, 1, 2]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda p: p.unlink(), "data_batch_3.bin is missing"),
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "has 15,364 bytes, expected 15,365"),
        (lambda p: p.write_bytes(b"x" + p.read_bytes()[1:]), "is damaged: its md5 is"),
    ],
)
def test_a_wrong_file_is_named_with_what_to_do(small_set: Path, damage, problem: str) -> None:
    assert verify_cifar10(small_set) == []
    damage(small_set / "data_batch_3.bin")
    with pytest.raises(UserError, match=f"{problem}.*; run: deepres data cifar10 --data"):
        load_cifar10(small_set)


def test_planes_are_red_green_blue_row_by_row(sample: Cifar10, small_set: Path) -> None:
    # A record written by hand from a picture must read back as that picture.
    picture = sample.test.images[0]
    record = bytes([7]) + b"".join(bytes(plane.flatten().tolist()) for plane in picture)
    (small_set / "test_batch.bin").write_bytes(record * 5)
    cifar10.MD5["test_batch.bin"] = hashlib.md5(record * 5).hexdigest()
    data = load_cifar10(small_set)
    assert torch.equal(data.test.images[3], picture)
    assert data.test.labels.tolist() == [7] * 5


@pytest.mark.parametrize(
    "labels",
    [torch.zeros(2), torch.zeros(3).long(), torch.zeros(2, 1).long(), torch.zeros(2).bool()],
    ids=["float", "number", "shape", "bool"],
)
def test_labels_are_a_whole_number_for_each_image(labels: torch.Tensor) -> None:
    with pytest.raises(UserError, match=r"expected labels as int64 \(2,\), one for each image"):
        ImageSet(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), labels)


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_are_of_its_classes(sample: Cifar10, label: int) -> None:
    other = ImageSet(sample.test.images[:2], torch.tensor([3, label]))
    with pytest.raises(UserError, match=f"an image has the label {label}, and CIFAR-10's go from"):
        Cifar10(sample.train, other, "mine", "sample")
