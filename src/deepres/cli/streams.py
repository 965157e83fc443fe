"""Standard streams that take whatever is printed, whoever reads them or has stopped to."""

import codecs
import io
import os
import sys
import warnings
from typing import Any, TextIO

from deepres.visible import visible

LOOKALIKES = str.maketrans(
    {
        "–": "-",
        "−": "-",
        "±": "+-",
        "×": "x",
        "…": "...",
        "→": "->",
        "²": "^2",
        "é": "e",
        "§": "section ",
        "✓": "yes",
        "✗": "no",
        "≈": "~",
    }
)
"""What stands for a character on a terminal that has no such."""
ERRORS = "deepres"


class OutputLost(Exception):
    """Standard output cannot be written: nobody reads it any more, or its disk is full."""


class Output(io.FileIO):
    """Standard output: what fails is no library's to deal with."""

    def write(self, data: Any, /) -> int:
        """Write.

        Raises:
            OutputLost: in place of whatever the system says.
        """
        try:
            return super().write(data)
        except OSError as error:
            raise OutputLost(error.strerror) from error


class Unheard(io.FileIO):
    """Standard error, which may be closed at its other end: the work goes on."""

    def write(self, data: Any, /) -> int:
        """Write what can be written; the rest is lost."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare_streams() -> None:
    """Make standard output and standard error ready for anything.

    What is closed leads nowhere, so that no file of ours takes its number; characters that an
    encoding has not are replaced; and a terminal or pipe that is gone ends no training, which says
    how it goes on standard error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
    if sys.stdout is sys.__stdout__:  # else it is a test's, or a caller's
        sys.stdout = _through(Output(1, "w", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _through(Unheard(2, "w", closefd=False), sys.stderr)
    codecs.register_error(ERRORS, replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)
    warnings.formatwarning = one_line


def _through(raw: io.FileIO, usual: TextIO | None) -> TextIO:
    """Return a stream into ``raw`` that is like the ``usual`` one; None: that was closed."""
    if not isinstance(usual, io.TextIOWrapper):
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", line_buffering=True)
    usual.flush()
    by_line = usual.line_buffering or usual.write_through
    return io.TextIOWrapper(io.BufferedWriter(raw), usual.encoding, line_buffering=by_line)


def replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for characters that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(LOOKALIKES)
    return text.encode("ascii", "backslashreplace").decode(), error.end


def one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: object = None
) -> str:
    """Return a library's warning as a line of ours, without its place in the library."""
    return visible(f"deepres: warning: {' '.join(str(message).split())}\n")


def drop_output() -> None:
    """Let standard output lead nowhere, as nobody reads it any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
