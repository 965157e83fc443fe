"""What deepres completion takes."""

import argparse

from deepres.cli import Commands

SHELLS = ("bash", "zsh", "tcsh", "fish")


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "completion",
        help="print what teaches a shell to complete commands; needs the extra 'completion'",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(call="completion.call")
