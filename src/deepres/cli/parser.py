"""How a command line is read: a mistake gets one line, and the word that may have been meant."""

import argparse
import itertools
from collections.abc import Sequence
from typing import Any, NoReturn

from deepres.errors import UserError, did_you_mean


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, with the way to the manual."""

    def error(self, message: str) -> NoReturn:
        """Print ``message`` and exit."""
        self.exit(UserError.exit_status, f"deepres: {message}; see: {self.prog} --help\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all of ``args``; what is left over is a mistake, here and not further up."""
        self._check_options(args or ())
        known, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return known, left

    def _check_options(self, args: Sequence[str]) -> None:
        """Name the first option that there is not, before what is missing without it is."""
        own = args  # those before a command's name, if there are commands
        if self._subparsers:
            own = [*itertools.takewhile(lambda word: word.startswith("-"), args)]
        for word in itertools.takewhile(lambda word: word != "--", own):
            option = word.partition("=")[0]
            known = self._option_string_actions
            if option.startswith("--") and not any(name.startswith(option) for name in known):
                shown = [name for name in known if known[name].help is not argparse.SUPPRESS]
                question = did_you_mean(option, shown)
                if option == "--debug":
                    question = ", which comes before the command: deepres --debug …"
                self.error(f"unrecognized arguments: {option}{question}")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        if not arg_string and action.nargs != argparse.PARSER:  # "$DATA" would mean the default
            text = "is empty, as of a variable that is not set; give a value, or leave it out"
            raise argparse.ArgumentError(action, text)
        return super()._get_value(action, arg_string)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            question = did_you_mean(str(value), map(str, action.choices or ()))
            if question:  # shorter than all that there is to choose from
                raise argparse.ArgumentError(action, f"no {value!r}{question}") from error
            raise


class Hint(argparse.Action):
    """An option that others have and deepres has not: explained where it is typed."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, text: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs="?", help=argparse.SUPPRESS)
        self.text = text

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None
    ) -> None:
        """Say what to type instead; VALUE stands for what was given."""
        parser.error(f"{option}: {self.text.replace('VALUE', values or 'VALUE')}")
