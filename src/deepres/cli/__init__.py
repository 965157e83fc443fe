"""The command line: thin, one module per command."""

import argparse

Commands = (
    argparse._SubParsersAction
)  # what add_subparsers() returns; argparse names no public type
