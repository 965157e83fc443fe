"""deepres data: fetch, unpack and check the data sets."""

import argparse
from pathlib import Path
from shlex import quote

from deepres.cli.terminal import say, show
from deepres.data.cifar10 import verify_cifar10
from deepres.data.fetch import fetch_cifar10
from deepres.errors import UserError


def call(options: argparse.Namespace) -> int:
    """Fetch what is missing of CIFAR-10."""
    fetch_cifar10(options.data, say)
    return _complete(options.data)


def call_verify(options: argparse.Namespace) -> int:
    """Say what is missing or damaged."""
    if problems := verify_cifar10(options.data):
        for problem in problems:
            say(problem)
        raise UserError(
            f"{len(problems)} of 6 files are missing or damaged; "
            f"run: deepres data cifar10 --data {quote(str(options.data))}"
        )
    return _complete(options.data)


def _complete(folder: Path) -> int:
    show(f"CIFAR-10 is complete in {folder}: 6 files, all with the official md5")
    return 0
