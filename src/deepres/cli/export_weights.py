"""deepres export: trained weights for other programs."""

import argparse
from pathlib import Path

from deepres.cli.terminal import say, show
from deepres.files import check_free
from deepres.models.exchange import export_weights
from deepres.models.exchange.exporting import SUFFIXES
from deepres.pretrained import find_weights


def call(options: argparse.Namespace) -> int:
    """Write, check, and name the files."""
    weights, out = find_weights(options.subject, options.source, say), options.out
    if out is None and weights != Path(options.subject):  # not beside what everybody uses
        out = Path(f"{Path(options.subject).name}{SUFFIXES.get(options.to, '')}")
        if options.to in SUFFIXES and not options.force:  # of a folder, its files are checked
            check_free([out])
    for file in export_weights(weights, options.to, out, say, force=options.force):
        show(str(file))
    return 0
