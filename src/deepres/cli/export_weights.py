"""deepres export: trained weights for other programs."""

import argparse
from pathlib import Path

from deepres.cli.terminal import say, show
from deepres.models.exchange import export_weights
from deepres.models.exchange.exporting import SUFFIXES
from deepres.pretrained import find_weights


def call(options: argparse.Namespace) -> int:
    """Write, check, and name the files."""
    weights, out = find_weights(options.subject, options.source, say), options.out
    if out is None and weights != Path(options.subject):  # not beside what everybody uses
        out = Path(f"{Path(options.subject).name}{SUFFIXES.get(options.to, '')}")
    for file in export_weights(weights, options.to, out, say, force=options.force):
        show(str(file))
    return 0
