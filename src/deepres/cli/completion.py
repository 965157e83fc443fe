"""deepres completion: commands, options and networks, completed by the shell."""

import argparse
from typing import Any

from deepres.cli.main import make_parser
from deepres.extras import optional_package
from deepres.models.create import NAMES

FUNCTION = "_deepres_weights"
PREAMBLE = {
    "bash": f'{FUNCTION}() {{ compgen -W "{" ".join(NAMES)}" -- $1; compgen -f -- $1; }}',
    "zsh": f"{FUNCTION}() {{ compadd {' '.join(NAMES)}; _files; }}",
}
"""Networks by name, or files."""
SPACED = " ".join(NAMES)


def call(options: argparse.Namespace) -> int:
    """Print the script."""
    shtab = optional_package("shtab", "completion", "completion needs")
    weights = {
        **shtab.FILE,
        **dict.fromkeys(PREAMBLE, FUNCTION),
        "fish": f'(echo {SPACED} | tr " " "\\n"; __fish_complete_path (commandline -ct))',
    }
    by_metavar = {
        "FILE": shtab.FILE,
        "FILE|FOLDER": shtab.FILE,
        "FILE|RUN": shtab.FILE,
        "FOLDER": shtab.DIRECTORY,
        "IMAGE": shtab.FILE,
        "NETWORK|RUN": weights,
        "RUN": shtab.DIRECTORY,
        "SOURCE": shtab.DIRECTORY,
        "WEIGHTS": weights,
    }
    parser = make_parser()
    _annotate(parser, by_metavar)
    print(shtab.complete(parser, options.shell, preamble=PREAMBLE.get(options.shell, "")))
    return 0


def _annotate(parser: argparse.ArgumentParser, by_metavar: dict[str, Any]) -> None:
    """Say of each argument how it is completed, in the parser's commands too: by its metavar."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            action.help = ""  # the overview stands for it in --help, where it is suppressed
            for command in action.choices.values():
                _annotate(command, by_metavar)
        elif action.metavar == "NETWORK":
            action.choices = NAMES
        elif action.metavar in by_metavar:
            action.complete = by_metavar[str(action.metavar)]  # type: ignore[attr-defined]
