"""A table in four forms: plain text, Markdown, LaTeX and HTML."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepres.errors import UserError
from deepres.files import MARK, atomic_write

NOTHING = "–"
"""In a cell: there is no number."""


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell of a row names it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    numbers: frozenset[int] = frozenset()
    """Which columns hold numbers; these are set to the right."""
    missing: Sequence[tuple[str, str]] = ()
    """What has no number yet, and the command that brings it about."""
    is_empty: bool = False
    """Whether it waits for runs, and has none: all its numbers are published ones."""

    @property
    def all_notes(self) -> list[str]:
        """The notes, and a line for each number that is missing."""
        return [*self.notes, *(f"Missing: {what}: {command}" for what, command in self.missing)]


def as_text(table: Table) -> str:
    """Return the table for a terminal or a text file, its columns aligned."""
    lines = [table.columns, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            f"{cell:>{width}}" if i in table.numbers else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    body = [line(row) for row in table.rows]
    return (
        "\n".join([table.title, "", line(table.columns), rule, *body, "", *table.all_notes]) + "\n"
    )


def as_markdown(table: Table) -> str:
    """Return the table as GitHub's Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(map(_escape_markdown, cells)) + " |"

    rule = ["--:" if i in table.numbers else ":--" for i in range(len(table.columns))]
    notes = [f"\n{_escape_markdown(note)}" for note in table.all_notes]
    head = [f"**{_escape_markdown(table.title)}**", "", line(table.columns)]
    return "\n".join([*head, f"|{'|'.join(rule)}|", *map(line, table.rows), *notes]) + "\n"


def as_latex(table: Table) -> str:
    """Return the table as a LaTeX float; it needs the package booktabs and, if wide, graphicx."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join(map(_escape_latex, cells)) + r" \\"

    kinds = "".join("r" if i in table.numbers else "l" for i in range(len(table.columns)))
    tabular = [
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        line(table.columns),
        r"\midrule",
        *map(line, table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if len(table.columns) > 5:
        tabular = [r"\resizebox{\linewidth}{!}{%", *tabular[:-1], tabular[-1] + "}"]
    caption = _escape_latex(" ".join([f"{table.title}.", *table.all_notes]))
    head = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}"]
    return "\n".join([*head, *tabular, r"\end{table}"]) + "\n"


def as_html(table: Table) -> str:
    """Return the table as an HTML element, for people who see it and those who hear it."""

    def kind(column: int) -> str:
        return ' class="number"' if column in table.numbers else ""

    def cell(text: str, column: int) -> str:
        escaped = html.escape(text)
        return f"<td{kind(column)}>{escaped}</td>" if column else f'<th scope="row">{escaped}</th>'

    head = "".join(
        f'<th scope="col"{kind(i)}>{html.escape(name)}</th>' for i, name in enumerate(table.columns)
    )
    rows = ["<tr>" + "".join(map(cell, row, range(len(row)))) + "</tr>" for row in table.rows]
    notes = "<br>".join(map(html.escape, table.notes)) + _missing_html(table.missing)
    foot = (
        f'<tfoot><tr><td colspan="{len(table.columns)}"><div class="notes">{notes}</div></td></tr>'
        "</tfoot>"
    )
    return "\n".join(
        [
            f"<table>\n<caption>{html.escape(table.title)}</caption>",
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody>",
            *([foot] if notes else []),
            "</table>\n",
        ]
    )


FORMS: dict[str, Callable[[Table], str]] = {
    ".txt": as_text,
    ".md": as_markdown,
    ".tex": as_latex,
    ".html": as_html,
}
"""What writes a table into a file of each ending."""
COMMENTS = {".txt": "({})", ".md": "<!-- {} -->", ".tex": "% {}", ".html": "<!-- {} -->"}
"""How each says who wrote it."""


def save_table(table: Table, path: Path) -> Path:
    """Write a table in the form that the ending of ``path`` stands for, and that it is ours.

    Raises:
        UserError: there is no such form.
    """
    if path.suffix not in FORMS:
        raise UserError(f"a table's file must end in {' or '.join(FORMS)}, got {path}")
    signed = COMMENTS[path.suffix].format(f"written by {MARK.decode()}")
    with atomic_write(path) as file:
        file.write(f"{signed}\n{FORMS[path.suffix](table)}".encode())
    return path


def _missing_html(missing: Sequence[tuple[str, str]]) -> str:
    if not missing:
        return ""
    lines = (
        f"<li>{html.escape(what)}: <code>{html.escape(command)}</code></li>"
        for what, command in missing
    )
    summary = f"{len(missing)} missing, and what brings them about"
    return f"<details><summary>{summary}</summary><ul>{''.join(lines)}</ul></details>"


def _escape_markdown(text: str) -> str:
    return html.escape(text, quote=False).translate({ord(c): f"\\{c}" for c in "\\|*_`[]~#"})


LATEX: dict[str, str | int | None] = {
    **{c: rf"\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "→": r"$\to$",
    "⁹": "$^9$",
    "§": r"\S{}",
}


def _escape_latex(text: str) -> str:
    return text.translate(str.maketrans(LATEX))
