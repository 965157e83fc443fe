import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from deepres.errors import UserError
from deepres.report.render import Table, as_html, as_latex, as_markdown, as_text, save_table

TABLE = Table(
    *("50 % of <it> & more", ("a_b", "error"), (("x|y", "8.75 (8.80 ± 0.10)"), ("long name", "9"))),
    *(("Note #1: a < b",), frozenset({1})),
)


def test_text_is_aligned() -> None:
    assert as_text(TABLE).splitlines() == [
        "50 % of <it> & more",
        "",
        "a_b                     error",
        "-----------------------------",
        "x|y        8.75 (8.80 ± 0.10)",
        "long name                   9",
        "",
        "Note #1: a < b",
    ]


def test_markdown_is_escaped() -> None:
    assert as_markdown(TABLE).splitlines() == [
        "**50 % of &lt;it&gt; &amp; more**",
        "",
        r"| a\_b | error |",
        "|:--|--:|",
        r"| x\|y | 8.75 (8.80 ± 0.10) |",
        "| long name | 9 |",
        "",
        r"Note \#1: a &lt; b",
    ]


def test_latex_is_escaped() -> None:
    assert as_latex(TABLE).splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{50 \% of \textless{}it\textgreater{} \& more. Note \#1: a \textless{} b}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"a\_b & error \\",
        r"\midrule",
        r"x|y & 8.75 (8.80 $\pm$ 0.10) \\",
        r"long name & 9 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    special = as_latex(Table("", ("a",), (("\\^~{",),)))
    assert r"\textbackslash{}\textasciicircum{}\textasciitilde{}\{ \\" in special.splitlines()


def test_html_is_escaped_and_has_scopes() -> None:
    table = ET.fromstring(as_html(TABLE))
    assert table.findtext("caption") == "50 % of <it> & more"
    assert [cell.text for cell in table.iterfind("thead/tr/th[@scope='col']")] == ["a_b", "error"]
    assert [cell.text for cell in table.iterfind("tbody/tr/th[@scope='row']")] == [
        *("x|y", "long name")
    ]
    assert table.findtext("tbody/tr/td[@class='number']") == "8.75 (8.80 ± 0.10)"
    assert table.findtext("tfoot/tr/td[@colspan='2']/div") == "Note #1: a < b"


def test_what_is_missing_follows_the_notes() -> None:
    table = replace(TABLE, missing=[("row <b>", "deepres train")])
    assert as_text(table).splitlines()[-1] == "Missing: row <b>: deepres train"
    assert as_markdown(table).splitlines()[-1] == "Missing: row &lt;b&gt;: deepres train"
    assert "Note \\#1: a \\textless{} b Missing: row" in as_latex(table)
    listed = ET.fromstring(as_html(table)).find("tfoot/tr/td/div/details/ul/li")
    assert listed is not None
    assert (listed.text, listed.findtext("code")) == ("row <b>: ", "deepres train")


@pytest.mark.parametrize("ending", ["txt", "md", "tex", "html"])
def test_saved_by_ending(tmp_path: Path, ending: str) -> None:
    assert "8.75" in save_table(TABLE, tmp_path / f"table.{ending}").read_text()


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must end in \.txt or \.md or \.tex or \.html"):
        save_table(TABLE, tmp_path / "table.pdf")
