import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import image_folder, picture
from PIL import Image, ImageOps
from runs import on_cpu
from torchvision.transforms.v2 import functional as reference

from deepres.data.crops import COLOUR_AXES, COLOUR_SCALES
from deepres.data.folder import ImageFiles, open_image_folder
from deepres.data.images import BadImage
from deepres.data.loading import load
from deepres.data.sampling import CropSampler
from deepres.data.stream import StreamedBatches
from deepres.distributed import World
from deepres.recipes import ImageNetRecipe, get_recipe

CPU = torch.device("cpu")
RECIPE = get_recipe("resnet18").scaled_to(8)
assert isinstance(RECIPE, ImageNetRecipe)
RECIPE = dataclasses.replace(RECIPE, batch_size=6, crop=32, short_side=(36, 48))
MEAN = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    return open_image_folder(image_folder(tmp_path_factory.mktemp("data"), train=8, val=1)).train


def batches(
    files: ImageFiles, recipe: ImageNetRecipe = RECIPE, seed: int = 3, **settings
) -> StreamedBatches:
    return StreamedBatches(files, MEAN, recipe, seed, on_cpu(**{"workers": 0, **settings}))


def assert_same_batch(a: tuple[torch.Tensor, ...], b: tuple[torch.Tensor, ...]) -> None:
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])


def test_a_standard_deviation_divides_what_is_prepared_colours_too(files: ImageFiles) -> None:
    std = torch.tensor([0.2, 0.3, 0.25])[:, None, None]
    mean = MEAN.mean((1, 2), keepdim=True)  # of each channel, as other people's weights have it
    divided = StreamedBatches(files, mean, RECIPE, 3, on_cpu(workers=0), std)(2)
    as_it_is = StreamedBatches(files, mean, RECIPE, 3, on_cpu(workers=0))(2)
    assert_same_batch(divided, (as_it_is[0] / std, as_it_is[1]))


@settings(max_examples=15)
@given(steps=st.lists(st.integers(0, 12), min_size=1, max_size=4))
def test_a_batch_is_a_function_of_seed_and_step(files: ImageFiles, steps: list[int]) -> None:
    used = batches(files)
    for step in steps:  # in any order, again, and beyond the recipe's end
        assert_same_batch(used(step), batches(files)(step))
    assert not torch.equal(batches(files, seed=4)(steps[0])[0], used(steps[0])[0])


def test_workers_change_no_bit(files: ImageFiles) -> None:
    alone, helped = batches(files), batches(files, workers=2)
    for step in (0, 1, 2, 7, 1):
        assert_same_batch(alone(step), helped(step))


def test_steps_in_order_are_one_stream(files: ImageFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def note(dataset, order: range, *more):
        begun.append(order[0])
        return load(dataset, order, *more)

    monkeypatch.setattr("deepres.data.loading.load", note)
    used = batches(files)
    for step in (0, 1, 2, 5, 6, 7):
        used(step)
    assert begun == [0, 5]


def test_streams_leave_the_callers_random_state_alone(files: ImageFiles) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    for workers in (0, 1):
        torch.manual_seed(5)
        batches(files, workers=workers)(0)
        assert torch.equal(torch.rand(3), expected)


def test_the_shares_of_two_processes_make_up_the_batch(files: ImageFiles) -> None:
    parts = [batches(files, world=World(rank, 2)) for rank in range(2)]
    for step in range(3):
        images, labels = zip(*(part(step) for part in parts), strict=True)
        assert_same_batch((torch.cat(images), torch.cat(labels)), batches(files)(step))


def test_each_image_is_prepared_as_torchvision_and_a_formula_do_it(files: ImageFiles) -> None:
    draws = CropSampler(len(files), 6, (36, 48), True, 3).batch(2)
    images, labels = batches(files)(2)
    assert images.shape == (6, 3, 32, 32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert draws.flip.any()
    assert not draws.flip.all()
    for n in range(6):
        name = files.names[draws.image[n]]
        assert labels[n] == int(name[len("class")])
        image = reference.pil_to_tensor(Image.open(files.root / name))
        resized = reference.resize(
            reference.to_pil_image(image), int(draws.short_side[n]), antialias=True
        )
        top = int(float(draws.top[n]) * (resized.height - 31))
        left = int(float(draws.left[n]) * (resized.width - 31))
        crop = reference.to_image(reference.crop(resized, top, left, 32, 32))
        if draws.flip[n]:
            crop = reference.horizontal_flip(crop)
        shift = sum(
            0.1 * float(draws.colour[n, k]) * float(COLOUR_SCALES[k]) * COLOUR_AXES[:, k]
            for k in range(3)
        )
        expected = crop / 255 - MEAN + shift[:, None, None]
        difference = (images[n] - expected).abs() * 255
        assert difference.max() < 2.01  # grey levels
        assert (difference > 1.01).sum() <= 1
        assert difference.mean() < 0.5


def test_no_colour_no_mirror_one_size_is_the_bare_crop(files: ImageFiles) -> None:
    bare = dataclasses.replace(RECIPE, colour_std=0.0, flip=False, short_side=(32, 32))
    square = [ImageOps.fit(picture(90, 90, s), (32, 32), Image.Resampling.BOX) for s in range(6)]
    for i, image in enumerate(square):
        image.save(files.root / f"square{i}.png")
    names = tuple(f"square{i}.png" for i in range(6))
    images, labels = batches(ImageFiles(files.root, names, (5, 4, 3, 2, 1, 0)), bare)(0)
    for image, label in zip(images, labels.tolist(), strict=True):
        expected = torch.from_numpy(np.array(square[5 - label])).permute(2, 0, 1) / 255 - MEAN
        assert torch.equal(image, expected)


def test_every_kind_of_jpeg_keeps_its_label(tmp_path: Path) -> None:
    """One colour each, so that an image is known by what it shows."""
    exif = Image.Exif()
    exif[0x0112] = 8
    made: dict[str, Image.Image] = {
        "grey.jpg": Image.new("L", (50, 40), 120),
        "cmyk.jpg": Image.new("RGB", (50, 40), (200, 40, 90)).convert("CMYK"),
        "palette.gif": Image.new("RGB", (40, 60), (10, 240, 20)).convert("P", palette=1),
        "turned.jpg": Image.new("RGB", (40, 70), (30, 30, 220)),
        "alpha.png": Image.new("RGBA", (40, 40), (250, 250, 10, 255)),
        "deep.png": Image.new("I;16", (44, 40), 257 * 33),
    }
    for name, image in made.items():
        image.save(tmp_path / name, **({"exif": exif} if "turned" in name else {}))
    colours = [(120,) * 3, (200, 40, 90), (10, 240, 20), (30, 30, 220), (250, 250, 10), (33,) * 3]
    files = ImageFiles(tmp_path, tuple(made), tuple(range(6)))
    still = dataclasses.replace(RECIPE, colour_std=0.0)
    seen = set()
    for step in range(2):
        images, labels = batches(files, still)(step)
        pixels = 255 * (images + MEAN)
        for image, label in zip(pixels, labels.tolist(), strict=True):
            colour = torch.tensor(colours[label])[:, None, None]
            assert (image - colour).abs().max() < 12, list(made)[label]
            seen.add(label)
    assert seen == set(range(6))


@pytest.fixture
def damaged(tmp_path: Path) -> ImageFiles:
    """Eight images, the third of which is cut and the sixth none."""
    files = open_image_folder(image_folder(tmp_path, classes=1, train=8, val=1)).train
    cut = tmp_path / "train" / files.names[2]
    cut.write_bytes(cut.read_bytes()[:300])
    (tmp_path / "train" / files.names[5]).write_text("no image")
    return ImageFiles(files.root, files.names, tuple(range(8)))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_named_and_stops_the_run(damaged: ImageFiles, workers: int) -> None:
    stream = batches(damaged, dataclasses.replace(RECIPE, batch_size=8), workers=workers)
    with pytest.raises(BadImage, match=r"00[25]\.jpg: .* --bad-images skip, with --resume"):
        stream(0)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_can_be_left_out_and_is_counted(damaged: ImageFiles, workers: int) -> None:
    skipping = dataclasses.replace(RECIPE, batch_size=8, bad_images="skip")
    stream = batches(damaged, skipping, workers=workers)
    draws = CropSampler(8, 8, (36, 48), True, 3)
    for step in range(3):
        images, labels = stream(step)
        order = draws.batch(step).image.tolist()
        assert labels.tolist() == [i for i in order if i not in (2, 5)]
        assert len(images) == 6
        assert len(stream.bad) == 2


def test_the_others_are_the_same_without_it(damaged: ImageFiles, tmp_path: Path) -> None:
    skipping = dataclasses.replace(RECIPE, batch_size=8, bad_images="skip")
    images, labels = batches(damaged, skipping)(0)
    for i in (2, 5):
        picture(60, 50).save(tmp_path / "train" / damaged.names[i])
    whole, all_labels = batches(damaged, skipping)(0)
    kept = [n for n, label in enumerate(all_labels.tolist()) if label not in (2, 5)]
    assert_same_batch((images, labels), (whole[kept], all_labels[kept]))


def test_a_batch_of_bad_images_alone_is_an_error(damaged: ImageFiles) -> None:
    skipping = dataclasses.replace(RECIPE, batch_size=1, bad_images="skip")
    with pytest.raises(
        BadImage, match=r"and so it is with all other images that this process has of step 1$"
    ):
        batches(ImageFiles(damaged.root, damaged.names[2:3], (0,)), skipping)(0)
