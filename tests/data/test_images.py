import errno
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from deepres.data.images import BadImage, as_rgb, modification_times, open_image, upright_size
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


def save_levels(path: Path, levels: list[int], mode: str, **more: object) -> None:
    kind = np.int32 if mode == "I" else np.uint16
    Image.fromarray(np.array([levels * 16] * 32, kind)).save(path, **more)


@pytest.mark.parametrize(
    ("name", "mode", "levels", "expected"),
    [
        ("bytes.tif", "I", [0, 128, 255], [0, 128, 255]),
        ("words.tif", "I", [0, 128, 65535], [0, 0, 255]),
        ("dark.png", "I;16", [0, 128, 255], [0, 0, 1]),
        ("dark.tif", "I;16", [0, 128, 255], [0, 0, 1]),
        ("dark.pgm", "I;16", [0, 257, 255], [0, 1, 1]),
    ],
)
def test_greyscale_of_many_bits_keeps_its_levels(
    tmp_path: Path, name: str, mode: str, levels: list[int], expected: list[int]
) -> None:
    save_levels(tmp_path / name, levels, mode)
    pixels = np.asarray(open_image(tmp_path / name))
    assert pixels[0, :3, 1].tolist() == expected


def test_zero_is_white_where_a_tiff_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    save_levels(path, [0, 257, 65535], "I;16")
    zero_is_black, zero_is_white = (struct.pack("<HHIHH", 262, 3, 1, way, 0) for way in (1, 0))
    assert path.read_bytes().count(zero_is_black) == 1
    path.write_bytes(path.read_bytes().replace(zero_is_black, zero_is_white))
    assert np.asarray(open_image(path))[0, :3, 1].tolist() == [255, 254, 0]


@pytest.mark.parametrize("levels", [[-1, 5], [0, 65536], [0, 2**31 - 1]])
def test_levels_without_a_range_are_refused(tmp_path: Path, levels: list[int]) -> None:
    save_levels(tmp_path / "a.tif", levels, "I")
    with pytest.raises(UserError, match=rf"a\.tif.*pixels from .* to {levels[1]} have no fixed"):
        open_image(tmp_path / "a.tif")


def test_clear_pixels_of_sixteen_bit_grey_lie_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save_levels(path, [1000, 1001, 0], "I;16", transparency=1000)
    assert np.asarray(open_image(path))[0, :3, 1].tolist() == [255, 4, 0]


def test_images_that_are_too_large_are_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (50, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_500)
    assert open_image(tmp_path / "a.png").size == (50, 40)  # Pillow only warns
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    said = r"a\.png: too large: 2,000 pixels are more than the 1,000 that are read; .*DEEPRES_MAX_P"
    with pytest.raises(BadImage, match=said):
        open_image(tmp_path / "a.png")


@pytest.mark.parametrize(("pixels", "limit"), [("5000", 2500), ("", None)])
def test_the_limit_can_be_raised(pixels: str, limit: int | None) -> None:
    program = "from PIL import Image; import deepres.data.images; print(Image.MAX_IMAGE_PIXELS)"
    environment = {**os.environ, "DEEPRES_MAX_PIXELS": pixels}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == (limit or Image.MAX_IMAGE_PIXELS)


def test_a_limit_that_is_no_number_is_named() -> None:
    environment = {**os.environ, "DEEPRES_MAX_PIXELS": "1e9"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-m", "deepres", "predict", "resnet20", "a.png"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = "deepres: DEEPRES_MAX_PIXELS must be a whole number of pixels in digits alone, got '1e9'"
    assert (done.returncode, done.stderr) == (2, f"{said}\n")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(BadImage, match=r"a\.jpg: damaged .* \(it is no regular file\)"):
        open_image(tmp_path / "a.jpg")


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


def exif_of(*tags: tuple[int, int, bytes]) -> bytes:
    """EXIF data with one value of each tag: its number, its type, the value."""
    entries, long = b"", b""
    for number, kind, value in tags:
        if len(value) > 4:
            place = struct.pack("<I", 8 + 2 + 12 * len(tags) + 4 + len(long))
            long, value = long + value, place
        count = len(value) if kind == TEXT else 1
        entries += struct.pack("<HHI4s", number, kind, count, value)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + long


ORIENTATION, RESOLUTION, WIDTH = 0x0112, 0x011A, 0x0100
TEXT, WORD, NEGATIVE_WORD, NEGATIVE_LONG, DOUBLE = 2, 3, 8, 9, 12
TURNED = (ORIENTATION, WORD, b"\6\0")


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    ("exif", "turned"),
    [
        (exif_of(TURNED, (RESOLUTION, TEXT, b"72\0")), True),
        (exif_of(TURNED, (RESOLUTION, NEGATIVE_WORD, b"\xff\xff")), True),
        (exif_of(TURNED, (WIDTH, NEGATIVE_LONG, b"\xff\xff\xff\xff")), True),
        (exif_of((ORIENTATION, WORD, b"\x09\0")), False),
        (exif_of((ORIENTATION, TEXT, b"6\0")), False),
        (exif_of((ORIENTATION, DOUBLE, struct.pack("<d", float("nan")))), False),
        (b"Exif\0\0no such thing", False),
    ],
)
def test_odd_exif_data_spoil_no_photograph(
    tmp_path: Path, exif: bytes, turned: bool, ending: str
) -> None:
    path, plain = tmp_path / f"odd.{ending}", tmp_path / f"plain.{ending}"
    photo = Image.effect_noise((60, 50), 80).convert("RGB")
    photo.save(plain)
    photo.save(path, exif=exif)
    expected = Image.open(plain).convert("RGB")
    expected = expected.transpose(Image.Transpose.ROTATE_270) if turned else expected
    read = open_image(path)
    assert np.array_equal(np.asarray(read), np.asarray(expected))
    assert np.array_equal(np.asarray(as_rgb(read)), np.asarray(expected))  # once is enough
    with Image.open(path) as opened:
        assert upright_size(opened) == read.size
        assert np.array_equal(np.asarray(as_rgb(opened)), np.asarray(expected))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_pillows(tmp_path: Path, orientation: int, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.effect_noise((60, 50), 80).convert("RGB").save(path, exif=exif)
    with Image.open(path) as opened:
        expected = ImageOps.exif_transpose(opened)
    assert np.array_equal(np.asarray(open_image(path)), np.asarray(expected))
    with Image.open(path) as opened:
        assert upright_size(opened) == expected.size


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
