"""deepres data imagenet: unpack the official archives, and check what is there."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.terminal import IMAGENET_FOLDER, say
from deepres.data.decoding import undecodable
from deepres.data.imagenet import ILSVRC2012, SUFFIX, image_folders, verify_imagenet
from deepres.data.imagenet_archives import prepare_imagenet
from deepres.errors import UserError


def add_to(datasets: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the data set's commands and their options."""
    parser = datasets.add_parser("imagenet", help="unpack ImageNet (ILSVRC2012), or check it")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    prepare = commands.add_parser(
        "prepare", help="unpack the official archives; stopped at any point, it goes on there"
    )
    prepare.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        help="folder with ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, "
        "ILSVRC2012_devkit_t12.tar.gz and, for the test images, ILSVRC2012_img_test*.tar",
    )
    prepare.add_argument(
        "--md5",
        action="store_true",
        help="first compare the archives' checksums, which reads all 144 GiB once more",
    )
    prepare.set_defaults(call=call_prepare)

    verify = commands.add_parser("verify", help="count the images of each class")
    verify.add_argument(
        "--decode", action="store_true", help="also decode each image, on all processors"
    )
    verify.set_defaults(call=call_verify)
    for command in (prepare, verify):
        command.add_argument(
            "--dir",
            type=Path,
            default=IMAGENET_FOLDER,
            help="folder for train/, val/ and test/ (default: %(default)s)",
        )


def call_prepare(options: argparse.Namespace) -> int:
    """Unpack what is missing, then count."""
    try:
        prepare_imagenet(
            options.source, options.dir, say, check_md5=options.md5, expected=ILSVRC2012
        )
    except KeyboardInterrupt:
        say("deepres: stopped; the same command goes on from here")
        return 130
    return _report(options.dir, decode=False)


def call_verify(options: argparse.Namespace) -> int:
    """Say what is missing, superfluous or damaged."""
    return _report(options.dir, options.decode)


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
            f"deepres data imagenet prepare SOURCE --dir {folder}"
        )
    test = f", {ILSVRC2012.test:,} test" if (folder / "test").is_dir() else ""
    print(
        f"ImageNet is complete in {folder}: {ILSVRC2012.train:,} training, {ILSVRC2012.val:,} "
        f"validation{test} images, {ILSVRC2012.classes:,} classes"
        + ("; all can be decoded" if decode else "")
    )
    return 0
