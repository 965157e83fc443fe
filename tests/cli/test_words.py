"""One word for one thing, in every command; docs/commands.md has the words."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepres.cli.main import main, make_parser

PAGE = (Path(__file__).parents[2] / "docs/commands.md").read_text()


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, object]]:
    """Each command that can be carried out, and its parser."""
    nested = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not nested or parser.get_default("call"):
        yield name, parser
    for command, inner in nested[0].choices.items() if nested else ():
        yield from leaves(inner, f"{name} {command}".strip())


COMMANDS = dict(leaves(make_parser()))


def arguments() -> Iterator[tuple[str, argparse.Action]]:
    """What each command takes and shows in its --help."""
    for name, parser in COMMANDS.items():
        for action in parser._actions:
            shown = action.help is not argparse.SUPPRESS
            if shown and not isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
                yield name, action


def value(action: argparse.Action) -> set[str]:
    if action.nargs == 0:
        return set()
    if action.choices:
        return set(map(str, action.choices))
    return set((action.metavar or action.dest.upper()).split("|"))


def rows() -> list[tuple[set[str], set[str], str]]:
    """The table's words, their values, and what else stands in the value's cell."""
    section = PAGE.partition("\n## Words\n")[2].partition("\n## ")[0]
    found = []
    for words, values in re.findall(r"^\| (`.*?) \| (.*?) \|", section, re.MULTILINE):
        plain = re.sub("`.*?`", "", values).strip(" ,")
        found.append((set(re.findall("`(.*?)`", words)), set(re.findall("`(.*?)`", values)), plain))
    return found


def test_each_option_is_in_the_table_with_its_value() -> None:
    table = {word: (values, plain) for words, values, plain in rows() for word in words}
    for command, action in arguments():
        for word in action.option_strings:
            assert word in table, f"{command} {word}: take a word that there is, or add a row"
            values, plain = table[word]
            if not plain:  # "likewise" and "a program" are no lists
                assert value(action) <= values, f"{command} {word}: another value than elsewhere"


def test_the_table_has_no_other_options() -> None:
    known = {word for _, action in arguments() for word in action.option_strings}
    assert {w for words, *_ in rows() for w in words if w.startswith("-")} <= known


def test_what_has_a_place_is_called_alike() -> None:
    table = {word for words, *_ in rows() for word in words if not word.startswith("-")}
    for command, action in arguments():
        if not action.option_strings:
            assert value(action) - {"bash", "zsh", "tcsh", "fish"} <= table, command


WRITES = {
    *("train", "detect train", "localize train", "batchnorm", "detect predict", "explain"),
    "localize predict",
    *("features", "import", "export", "compare", "evaluate", "bench", "signals"),
    *("reproduce", "report"),
}


def test_what_a_command_writes_is_out_everywhere() -> None:
    outs = {command for command, action in arguments() if "--out" in action.option_strings}
    assert outs == WRITES
    for command, action in arguments():
        for word in action.option_strings:
            other = re.search(r"\b(output|picture|dir|folder|dest|file|path|target)\b", word)
            assert not other, f"{command} {word}: what is written is --out, or --save-…"
            if word == "--out":
                assert value(action) <= {"FILE", "FOLDER"}


def test_json_is_a_switch_everywhere() -> None:
    """Never the name of a file: that is --out."""
    switches = [action for _, action in arguments() if "--json" in action.option_strings]
    assert len(switches) >= 8
    assert all(action.nargs == 0 for action in switches)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_told(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    shown = capsys.readouterr().out
    assert "==SUPPRESS==" not in shown
    hidden = re.findall(r"--(?:epochs|lr|gpus?|no-graph|picture|dir|model)\b", shown)
    assert hidden == []  # nor what is only understood
