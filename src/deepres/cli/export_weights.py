"""deepres export: trained weights for other programs."""

import argparse
from pathlib import Path

from deepres.cli.terminal import say, show
from deepres.files import check_free
from deepres.models.exchange import export_weights
from deepres.models.exchange.exporting import SUFFIXES
from deepres.pretrained import find_weights
from deepres.run_places import comes_with_deepres


def call(options: argparse.Namespace) -> int:
    """Write, check, and name the files."""
    weights, out = find_weights(options.subject, options.source, say), options.out
    shared = weights != Path(options.subject) or comes_with_deepres(weights)
    if out is None and shared:  # not beside what everybody uses
        out = Path(f"{Path(options.subject).name}{SUFFIXES.get(options.to, '')}")
        if options.to in SUFFIXES and not options.force:  # of a folder, its files are checked
            check_free([out])
    for file in export_weights(weights, options.to, out, say, force=options.force):
        show(str(file))
    return 0
