"""deepres import: other people's weights."""

import argparse
from pathlib import Path
from shlex import quote

from deepres.cli.terminal import say, show
from deepres.errors import UserError
from deepres.files import check_free, file_digest
from deepres.models import load_classifier, save_weights
from deepres.models.exchange import import_weights


def call(options: argparse.Namespace) -> int:
    """Read the file, write it as ours, and load that once to be sure."""
    file: Path = options.file
    out = options.out or file.with_name(f"{options.network}-{options.source}.safetensors")
    if out.suffix != ".safetensors":
        raise UserError(f"--out must end in .safetensors, got {out}")
    if out.resolve() == file.resolve():
        raise UserError(f"{out} would replace the file that is read; choose another by --out")
    if not options.out and not options.force:
        check_free([out])
    classifier = import_weights(
        file,
        options.network,
        options.source,
        mean=options.mean,
        classes=options.class_names,
        crop=options.crop,
        short_side=options.short_side,
        key=options.key,
        pool=options.pool,
        say=say,
    )
    checksum = file_digest(file)
    origin = {"source": options.source, "file": file.name, "sha256": checksum}
    save_weights(out, classifier, {"imported": origin})
    load_classifier(out)
    show(f"{options.network} in {out}; classify by: deepres predict {quote(str(out))} IMAGE")
    return 0
