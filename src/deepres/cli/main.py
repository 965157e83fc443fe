"""The ``deepres`` command: parse, call, print."""

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from deepres.cli.old_spellings import as_spelled_now
from deepres.cli.overview import GROUPS, overview
from deepres.cli.parser import Parser
from deepres.cli.streams import OutputLost, drop_output, prepare_streams
from deepres.errors import UserError
from deepres.provenance import installed_version

DESCRIPTION = "The networks, training and results of the ResNet paper (He et al. 2015)."
EXPLAINS_ITSELF = "Every command explains itself: deepres train --help"
EPILOG = """exit status: 0 done; 1 another process, which this one needs, died; 2 a mistake in what
was asked, one line says which; 3 no source of CIFAR-10 can be reached; 130, 143 or 129 stopped by
Ctrl-C, SIGTERM or SIGHUP (a run's state is saved); 141 nobody reads what is printed any more"""
GONE = "the folder that you are in is gone; go to one that is there, by cd"
PIPE_CLOSED, INTERRUPTED = 141, 130
"""As a shell reports SIGPIPE and SIGINT."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; without a command, say which there are."""
    prepare_streams()
    try:
        Path.cwd()
    except OSError as error:
        print(f"deepres: {GONE} ({error.strerror})", file=sys.stderr)
        return UserError.exit_status
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # here, where a failure can still be told
    except KeyboardInterrupt:  # while nothing was done yet
        print("deepres: interrupted at once", file=sys.stderr)
        return INTERRUPTED
    except OutputLost as lost:
        drop_output()
        if isinstance(lost.__cause__, BrokenPipeError):  # as by ``deepres … | head -1``
            return PIPE_CLOSED
        print(f"deepres: cannot write standard output: {lost}", file=sys.stderr)
        return UserError.exit_status


def make_parser() -> Parser:
    """Return what reads the command line."""
    parser = Parser(
        prog="deepres",
        usage="deepres [-h] [--version] [--debug] COMMAND ...",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"deepres {installed_version()}"
    parser.add_argument("--version", action="version", version=version)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", dest="command", prog="deepres", help=argparse.SUPPRESS
    )
    for command in itertools.chain(*GROUPS.values()):
        command.add_to(commands)
    summaries = {each.dest: each.help or "" for each in commands._choices_actions}
    parser.description = f"{DESCRIPTION}\n\n{overview(summaries)}\n{EXPLAINS_ITSELF}"
    return parser


def _run(arguments: Sequence[str] | None) -> int:
    parser = make_parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        parser.exit(UserError.exit_status, f"{parser.description}\n")
    options = parser.parse_args(as_spelled_now(arguments))
    from deepres.cli.running import run  # PyTorch takes a second: --help and mistakes need not wait

    return run(options)
