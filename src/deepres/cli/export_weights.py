"""deepres export: trained weights for other programs."""

import argparse
from pathlib import Path

from deepres.cli.terminal import say
from deepres.errors import UserError, unknown_name
from deepres.models.exchange import TARGETS, export_weights
from deepres.models.exchange.exporting import SUFFIXES, Target
from deepres.pretrained import find_weights


def call(options: argparse.Namespace) -> int:
    """Write, check, and name the files."""
    target, subject, out = _given(options)
    weights = find_weights(subject, options.source, say)
    if out is None and weights != Path(subject):  # not beside what is kept for everybody's use
        out = Path(f"{Path(subject).name}{SUFFIXES.get(target, '')}")
    for file in export_weights(weights, target, out, say, force=options.force):
        print(file)
    return 0


def _given(options: argparse.Namespace) -> tuple[Target, str, Path | None]:
    """Return the program, the weights, and the new file, if it was named."""
    target, *paths = options.to
    if target not in TARGETS:
        raise unknown_name("target", target, TARGETS)
    if options.subject is not None:
        paths.insert(0, options.subject)
    if options.out is not None:
        paths[1:1] = [str(options.out)]
    if not 1 <= len(paths) <= 2:
        raise UserError(
            "name the weights once, and the new file at most once: deepres export RUN --to "
            f"{target} OUT; got {' '.join(paths) or 'no weights'}"
        )
    return target, paths[0], Path(paths[1]) if len(paths) > 1 else None
