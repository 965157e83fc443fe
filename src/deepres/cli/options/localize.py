"""What deepres localize takes."""

import argparse

from deepres.cli import Commands
from deepres.cli.options import localize_evaluate, localize_predict, localize_train


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's own commands."""
    parser = commands.add_parser(
        "localize",
        help="train and test networks that say where an image's object is (ImageNet CLS-LOC, "
        "appendix C); needs the extra 'detection'",
    )
    # Known by the name of its own command when it fails: training can be gone on with.
    own = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for command in (localize_train, localize_evaluate, localize_predict):
        command.add_to(own)
