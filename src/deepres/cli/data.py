"""deepres data: fetch, unpack and check the data sets."""

import argparse
from shlex import quote

from deepres.cli.terminal import say, show
from deepres.data.cifar10 import verify_cifar10
from deepres.data.fetch import fetch_cifar10
from deepres.errors import UserError


def call(options: argparse.Namespace) -> int:
    """Fetch what is missing of CIFAR-10, or say what is wrong."""
    if options.verify:
        if problems := verify_cifar10(options.dir):
            for problem in problems:
                say(problem)
            raise UserError(
                f"{len(problems)} of 6 files are missing or damaged; "
                f"run: deepres data cifar10 --dir {quote(str(options.dir))}"
            )
    else:
        fetch_cifar10(options.dir, say)
    show(f"CIFAR-10 is complete in {options.dir}: 6 files, all with the official md5")
    return 0
