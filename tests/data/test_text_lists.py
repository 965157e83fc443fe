import codecs
from pathlib import Path

import pytest

from deepres.data.text_lists import check_unique_lines, read_lines
from deepres.errors import UserError

NAMES = "chat\nhérisson\n猫\n"
EXPECTED = ["chat", "hérisson", "猫"]


@pytest.mark.parametrize(
    "content",
    [
        NAMES.encode(),
        NAMES.rstrip().encode(),
        codecs.BOM_UTF8 + NAMES.encode(),
        NAMES.encode("utf-16"),
        codecs.BOM_UTF16_BE + NAMES.encode("utf-16-be"),
        NAMES.replace("\n", "\r\n").encode(),
        NAMES.replace("\n", "\r").encode(),
        codecs.BOM_UTF16_LE + NAMES.replace("\n", "\r\n").encode("utf-16-le"),
        NAMES.encode() + b"\n \r\n\t\n",
    ],
)
def test_the_encodings_of_peoples_editors_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    assert read_lines(tmp_path / "names.txt") == EXPECTED


def test_blank_lines_are_left_out_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n  a b \n\nc\u2028d\n\n \n")
    assert read_lines(tmp_path / "a.txt") == ["", "a b", "", "c\u2028d"]
    (tmp_path / "a.txt").write_bytes(b"")
    assert read_lines(tmp_path / "a.txt") == []


def test_a_bom_is_no_part_of_a_name_where_files_were_joined(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeff\ufeffa\n\ufeffb\n")
    assert read_lines(tmp_path / "a.txt") == ["a", "b"]
    (tmp_path / "a.txt").write_text("\ufeffa\n\ufeffb\ufeffc\n")
    with pytest.raises(UserError, match=r"a\.txt, line 2 has a BOM inside"):
        read_lines(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("chat\r\nhérisson\r\n".encode("latin-1"), r"names\.txt, line 2 is not UTF-8; save"),
        ("狗\n".encode("gb2312"), r"line 1 is not UTF-8"),
        ("chat\nchien\n".encode("utf-16-le"), r"line 1 is not UTF-8"),
        (NAMES.encode("utf-16-le"), r"line 2 is not UTF-8"),
        (NAMES.encode("utf-16")[:-1], r"line 3 is not UTF-16"),
        ("a\nb\0".encode("utf-16"), r"line 2 is not UTF-16"),
        (b"a\nb\0\n", r"line 2 is not UTF-8"),
    ],
)
def test_other_encodings_are_named_by_file_and_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_lines(tmp_path / "names.txt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read \S+/a\.txt: No such file"):
        read_lines(tmp_path / "a.txt")


def test_both_places_of_a_repeated_line_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with pytest.raises(UserError, match=r"a\.txt has 'x' twice: line 1 and line 4; leave one out"):
        check_unique_lines(file, ["x", "y", "", "x", "", "x"])
    check_unique_lines(file, ["x", "", "y", ""])
