"""deepres data imagenet: unpack the official archives, and check what is there."""

import argparse
from pathlib import Path
from shlex import quote

from deepres.cli.terminal import say, show
from deepres.data.decoding import undecodable
from deepres.data.imagenet import ILSVRC2012, SUFFIX, image_folders, verify_imagenet
from deepres.data.imagenet_archives import prepare_imagenet
from deepres.errors import UserError


def call_prepare(options: argparse.Namespace) -> int:
    """Unpack what is missing, then count."""
    try:
        prepare_imagenet(
            options.source, options.data, say, check_md5=options.md5, expected=ILSVRC2012
        )
    except KeyboardInterrupt:
        say("deepres: stopped; the same command goes on from here")
        return 130
    if not options.md5:
        say(
            "what the images hold was not compared with anything: --md5 compares the archives with "
            "their official checksums, and verify --decode decodes every image"
        )
    return _report(options.data, decode=False)


def call_verify(options: argparse.Namespace) -> int:
    """Say what is missing, superfluous or damaged."""
    return _report(options.data, options.decode)


def _report(folder: Path, decode: bool) -> int:
    problems = verify_imagenet(folder, ILSVRC2012)
    if decode:
        problems += undecodable(image_folders(folder), SUFFIX)
    for problem in problems:
        say(problem)
    if problems:
        reasons = "reason" if len(problems) == 1 else f"{len(problems):,} reasons"
        raise UserError(
            f"{folder} is not ImageNet as it should be, for the {reasons} above; delete the "
            "folders of classes that are damaged or incomplete, then run: "
            f"deepres data imagenet prepare SOURCE --data {quote(str(folder))}"
        )
    test = f", {ILSVRC2012.test:,} test" if (folder / "test").is_dir() else ""
    show(
        f"ImageNet is complete in {folder}: {ILSVRC2012.train:,} training, {ILSVRC2012.val:,} "
        f"validation{test} images, {ILSVRC2012.classes:,} classes"
        + ("; all can be decoded" if decode else "")
    )
    return 0
