import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import OneIsBad, image_folder
from PIL import Image
from runs import on_cpu
from torchvision import transforms as reference

from deepres.data.cifar10 import ImageSet
from deepres.data.folder import ImageFiles, open_image_folder
from deepres.data.images import BadImage
from deepres.data.loading import CentreCrops, StepStream, ViewedImages, in_parts
from deepres.data.views import multi_scale, one_crop
from deepres.distributed import World
from deepres.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def files(tmp_path: Path) -> ImageFiles:
    """Eleven images, each labelled by its place."""
    files = open_image_folder(image_folder(tmp_path, classes=1, train=11, val=1)).train
    return ImageFiles(files.root, files.names, tuple(range(11)))


def crops(files: ImageFiles, workers: int = 0, skip_bad: bool = False) -> CentreCrops:
    return CentreCrops(files, 32, 37, on_cpu(workers=workers), skip_bad=skip_bad)


def spoil(files: ImageFiles, *places: int) -> None:
    for i in places:
        (files.root / files.names[i]).write_text("no image")


@pytest.mark.parametrize("workers", [0, 2])
def test_centre_crops_are_torchvisions_and_keep_their_labels(
    files: ImageFiles, workers: int
) -> None:
    chain = reference.Compose(
        [reference.Resize(37), reference.CenterCrop(32), reference.PILToTensor()]
    )
    batches = list(crops(files, workers).batches(4))
    assert [len(labels) for _, labels in batches] == [4, 4, 3]
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert labels.tolist() == list(range(11))
    for image, name in zip(images, files.names, strict=True):
        assert torch.equal(image, chain(Image.open(files.root / name)))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_each_image_goes_to_one_process(files: ImageFiles, size: int) -> None:
    seen = [
        label
        for rank in range(size)
        for _, labels in crops(files).batches(2, World(rank, size))
        for label in labels.tolist()
    ]
    assert sorted(seen) == list(range(11))


def test_a_bad_image_stops_the_test_or_is_left_out(files: ImageFiles) -> None:
    whole = torch.cat([images for images, _ in crops(files).batches(3)])
    spoil(files, 0, 4, 6, 7, 8)  # all of the third batch
    with pytest.raises(BadImage, match=r"000\.jpg: not an image"):
        list(crops(files).batches(3))
    kept = list(crops(files, skip_bad=True).batches(3))
    images, labels = (torch.cat(parts) for parts in zip(*kept, strict=True))
    assert labels.tolist() == [1, 2, 3, 5, 9, 10]
    assert torch.equal(images, whole[labels])


def test_views_know_their_places_and_what_was_bad(files: ImageFiles) -> None:
    spoil(files, 3, 5)
    viewed = ViewedImages(files, [range(3, 4), range(4, 5)], multi_scale, 32, 37)
    places, views, bad = viewed[0]
    assert (places.tolist(), views) == ([], [])
    assert len(bad) == 1
    assert "003.jpg: not an image" in bad[0]
    places, views, bad = viewed[1]
    assert (places.tolist(), bad) == ([4], [])
    assert [tuple(pixels.shape[:2]) for pixels in views] == [(1, 2)] * 5


@pytest.mark.parametrize(("crop", "short_side"), [(32, 32), (28, 32), (32, 40)])
def test_images_in_memory_are_viewed_as_one_by_one(crop: int, short_side: int) -> None:
    images = ImageSet(torch.randint(256, (7, 3, 32, 32), dtype=torch.uint8), torch.arange(7))
    viewed = ViewedImages(images, [range(1, 7, 2)], one_crop, crop, short_side)
    places, (views,), bad = viewed[0]
    expected = [one_crop(images.image(i), crop, short_side)[0] for i in (1, 3, 5)]
    assert (places.tolist(), bad) == ([1, 3, 5], [])
    assert torch.equal(views, torch.from_numpy(np.stack(expected)))


def test_test_images_that_are_left_out_are_named_once(
    files: ImageFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(files, 3, 7)
    images = crops(files, skip_bad=True)
    for _ in range(2):
        assert sum(len(labels) for _, labels in images.batches(4)) == 9
    named = capsys.readouterr().err.splitlines()
    assert len(named) == 2
    for line, i in zip(named, (3, 7), strict=True):
        assert line.startswith(f"left out: {files.root / files.names[i]}: not an image")
    list(crops(files, skip_bad=True).batches(4, name_bad=False))
    assert capsys.readouterr().err == ""


def test_a_strip_is_named_where_it_cannot_be_seen_whole(files: ImageFiles) -> None:
    Image.new("RGB", (1, 20_000)).save(files.root / files.names[3], "PNG")
    _, views, bad = ViewedImages(files, [range(3, 4)], multi_scale, 224, 256)[0]
    assert (views, len(bad)) == ([], 1)
    assert bad[0].startswith(f"{files.names[3]}: too long to be seen whole: 1×20000 pixels")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_worker_is_one_line_in_its_turn(workers: int) -> None:
    stream = StepStream(OneIsBad(), 4, on_cpu(workers=workers))
    assert stream(0) == 0
    for _ in range(2):  # it is no other the second time
        with pytest.raises(BadImage, match=r"^1: not an image$"):
            stream(1)
    assert [stream(2), stream(3)] == [2, 3]
    stream.close()


def test_parts_cover_all_places_in_order() -> None:
    assert in_parts(range(1, 11, 3), 3) == [range(1, 10, 3), range(10, 11, 3)]
    assert in_parts(range(0), 3) == []


def test_processes_divide_the_cores_among_their_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(12), raising=False)
    for processes, workers in (("1", 8), ("2", 6), ("5", 2), ("100", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        assert on_cpu().decoders == workers


def test_the_number_of_workers_is_what_was_asked() -> None:
    assert on_cpu(workers=0).decoders == 0
    with pytest.raises(UserError, match="the number of workers must be 0 or more, got -1"):
        on_cpu(workers=-1)


def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    image_folder(tmp_path / "data")
    program = f"""
import os, signal, torch
from pathlib import Path
from deepres.data.folder import open_image_folder
from deepres.data.loading import CentreCrops
from deepres.execution import Execution
if __name__ == "__main__":
    files = open_image_folder(Path({str(tmp_path / "data")!r})).train
    two = Execution(torch.device("cpu"), workers=2)
    batches = CentreCrops(files, 32, 37, two, skip_bad=False).batches(4)
    next(batches)  # and keep the workers waiting for more
    os.kill(os.getpid(), signal.SIGKILL)
"""
    (tmp_path / "program.py").write_text(program)
    # Whoever is left keeps the pipe open, and this from returning.
    ended = subprocess.run(
        [sys.executable, tmp_path / "program.py"], stdout=subprocess.PIPE, timeout=120, check=False
    )
    assert ended.returncode == -signal.SIGKILL
