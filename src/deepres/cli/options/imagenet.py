"""What deepres data imagenet takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.terminal import IMAGENET_FOLDER


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
    prepare.set_defaults(call="imagenet.call_prepare")

    verify = commands.add_parser("verify", help="count the images of each class")
    verify.add_argument(
        "--decode", action="store_true", help="also decode each image, on all processors"
    )
    verify.set_defaults(call="imagenet.call_verify")
    for command in (prepare, verify):
        command.add_argument(
            "--data",
            type=Path,
            metavar="FOLDER",
            default=IMAGENET_FOLDER,
            help="the folder with train/, val/ and test/ (default: %(default)s)",
        )
