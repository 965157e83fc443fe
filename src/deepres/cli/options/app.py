"""What deepres app takes."""

import argparse

from deepres.cli import Commands
from deepres.cli.options.common import add_execution
from deepres.cli.options.weights import WEIGHTS_HELP, add_source


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "app",
        help="show a page on which one drops a picture and sees what a network sees in it; needs "
        "the extra 'app'",
    )
    parser.add_argument(
        "subjects",
        nargs="*",
        metavar="WEIGHTS",
        help=f"{WEIGHTS_HELP}; runs in runs/ and those that come with deepres can be chosen anyway",
    )
    add_source(parser)
    parser.add_argument("--open", action="store_true", help="show it in the browser")
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, which only this machine reaches)",
    )
    parser.add_argument(
        "--port",
        type=int,
        metavar="PORT",
        default=7860,
        help="port to listen on; 0: any that is free (default: %(default)s)",
    )
    add_execution(parser, workers=False)
    parser.set_defaults(call="app.call")
