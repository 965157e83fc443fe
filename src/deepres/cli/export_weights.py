"""deepres export: trained weights for other programs."""

import argparse

from deepres.cli.terminal import say, show
from deepres.models.exchange import export_weights


def call(options: argparse.Namespace) -> int:
    """Write, check, and name the files."""
    files = export_weights(options.weights, options.target, options.out, say, force=options.force)
    for file in files:
        show(str(file))
    return 0
