"""Lists in text files, an entry a line, in the encodings that people's editors save."""

import codecs
import re
from collections.abc import Iterable
from pathlib import Path

from deepres.errors import UserError
from deepres.files import read_file

BOM = "\ufeff"
LINE_END = re.compile(r"\r\n?|\n")


def read_lines(file: Path) -> list[str]:
    """Return a text file's lines, without white space around them and blank ones at the end.

    It is UTF-8, with or without a BOM, or UTF-16 with one.

    Raises:
        UserError: it cannot be read, or a line is in another encoding.
    """
    return lines_of(read_file(file), file)


def lines_of(content: bytes, file: Path | str) -> list[str]:
    """Return the lines of a text file's content, as ``read_lines`` does.

    Raises:
        UserError: a line is in another encoding; it is named, with ``file``.
    """
    utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if utf_16 else "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="ignore")
        raise _undecodable(file, before, encoding.upper()) from error
    if "\0" in text:  # UTF-16 without its BOM, or no text at all
        raise _undecodable(file, text.partition("\0")[0], encoding.upper())
    # A BOM stands inside a file where files were joined.
    lines = [line.lstrip(BOM).strip() for line in LINE_END.split(text)]
    for number, line in enumerate(lines, 1):
        if BOM in line:
            raise UserError(
                f"{file}, line {number} has a BOM inside: two files were joined there; end the line"
            )
    while lines and not lines[-1]:
        lines.pop()
    return lines


def check_unique(given: Iterable[tuple[str, object]], what: str) -> None:
    """Make sure that no name is given twice.

    Args:
        given: each name, and where or for what it is given.
        what: who gives which names, in words that go before the name.

    Raises:
        UserError: one is; it says where both are.
    """
    places: dict[str, object] = {}
    for name, place in given:
        if name in places:
            raise UserError(f"{what} {name!r} twice: {places[name]} and {place}; leave one out")
        places[name] = place


def check_unique_lines(file: Path, names: Iterable[str]) -> None:
    """Make sure that no two lines of a file give the same name.

    Args:
        file: of the list.
        names: what each line gives in turn; "" if nothing.

    Raises:
        UserError: two do; both are named.
    """
    given = ((name, f"line {number}") for number, name in enumerate(names, 1) if name)
    check_unique(given, f"{file} has")


def _undecodable(file: Path | str, before: str, encoding: str) -> UserError:
    number = len(LINE_END.split(before))
    return UserError(f"{file}, line {number} is not {encoding}; save the file as UTF-8")
