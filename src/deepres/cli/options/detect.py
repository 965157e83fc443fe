"""What deepres detect takes."""

import argparse

from deepres.cli import Commands
from deepres.cli.options import detect_evaluate, detect_predict, detect_train


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's own commands."""
    parser = commands.add_parser(
        "detect", help="train, test and use detectors (§4.3); needs the extra 'detection'"
    )
    # Known by the name of its own command when it fails: training can be gone on with.
    own = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in (detect_train, detect_evaluate, detect_predict):
        command.add_to(own)
