import errno
import os
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from deepres.data.images import modification_times, open_image
from deepres.data.views import one_crop
from deepres.errors import UserError


def read_image(path: Path, size: int) -> torch.Tensor:
    """The centre of an image file, (3, size, size)."""
    (centre,) = one_crop(open_image(path), size, size)
    return torch.tensor(centre)[0].permute(2, 0, 1)


def test_the_centre_of_the_shorter_side(tmp_path: Path) -> None:
    picture = Image.new("RGB", (96, 32), "red")
    picture.paste("blue", (32, 0, 64, 32))
    picture.save(tmp_path / "wide.png")
    image = read_image(tmp_path / "wide.png", 32)
    assert image.shape == (3, 32, 32)
    assert image.dtype == torch.uint8
    assert image.flatten(1).unique(dim=1).tolist() == [[0], [0], [255]]


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, [255, 255, 255]),
        ("L", 77, [77, 77, 77]),
        ("LA", (77, 255), [77, 77, 77]),
        ("RGBA", (10, 20, 30, 255), [10, 20, 30]),
        ("CMYK", (0, 255, 255, 0), [255, 0, 0]),
        ("I;16", 77 * 257, [77, 77, 77]),
        ("I", 77 * 257, [77, 77, 77]),
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, color, expected: list[int]) -> None:
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16", "I") else "a.png")
    Image.new(mode, (40, 50), color).save(path)
    assert read_image(path, 32)[:, 9, 9].tolist() == expected


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    Image.new("RGB", (40, 50), (10, 20, 30)).convert("P", palette=1).save(tmp_path / "a.png")
    assert (
        read_image(tmp_path / "a.png", 32)[:, 9, 9] - torch.tensor([10, 20, 30])
    ).abs().max() <= 3


def test_pixels_without_a_range_are_refused(tmp_path: Path) -> None:
    Image.new("F", (40, 50), 0.5).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match="floating-point pixels have no fixed range"):
        read_image(tmp_path / "a.tif", 32)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (32, 32), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png", 32).eq(255).all()


def test_pixels_are_those_of_a_full_decode_and_stay_when_the_file_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.effect_noise((90, 70), 80).convert("RGB").save(path)
    expected = Image.open(path).convert("RGB").tobytes()
    image = open_image(path)
    path.unlink()
    assert image.tobytes() == expected


def test_exif_turns_the_picture_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 32), "black")
    picture.paste("white", (0, 0, 32, 16))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: the upper half becomes the right
    picture.save(tmp_path / "turned.png", exif=exif)
    image = read_image(tmp_path / "turned.png", 32)
    assert image[:, :, 16:].eq(255).all()
    assert image[:, :, :16].eq(0).all()


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.png: no such file"):
        read_image(tmp_path / "none.png", 32)
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(UserError, match=r"text\.jpg: not an image that can be read"):
        read_image(tmp_path / "text.jpg", 32)
    Image.effect_noise((200, 200), 50).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:2000])
    with pytest.raises(UserError, match=r"cut\.jpg: damaged or unreadable image"):
        read_image(tmp_path / "cut.jpg", 32)
    with pytest.raises(UserError, match="damaged or unreadable"):
        read_image(tmp_path, 32)


def test_real_photographs(imagenet_sample: Path) -> None:
    for path in sorted(imagenet_sample.rglob("*.JPEG"))[:40]:
        assert read_image(path, 32).shape == (3, 32, 32)


def test_a_system_error_says_nothing_about_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        open_image(tmp_path / "a.jpg")


def test_modification_times_see_an_edit_that_keeps_the_size(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for i, path in enumerate(paths[:2]):
        path.write_text("1")
        os.utime(path, (i, i))
    before = modification_times(paths)
    assert re.fullmatch(r"written until 1970-01-01 00:00:01 UTC \(\w{8}\)", before)
    assert modification_times(paths) == before
    paths[0].write_text("2")
    os.utime(paths[0], ns=(0, 7))  # the latest stays
    after = modification_times(paths)
    assert after.split("(")[0] == before.split("(")[0]
    assert after != before
