"""What deepres localize train takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_bad_boxes, add_training
from deepres.cli.options.hints import add_precision_hint
from deepres.cli.options.weights import NAMED_HELP
from deepres.cli.terminal import IMAGENET_FOLDER

EPILOG = """appendix C, with a classifier's run and the boxes in data/imagenet: RPN, then R-CNN:
  deepres localize train resnet101 --weights runs/resnet101-s0
  deepres localize train resnet101 --rpn runs/resnet101-localization-s0
Tiny-ImageNet's boxes, some of which are of zero size, in crops of 56 pixels:
  deepres localize train resnet18 --weights runs/tiny --data tiny-imagenet-200 --set crop=56 \\
      --set short_side=64,80 --set anchor_sizes=14,28,56 --bad-boxes skip --steps 2000 \\
      --out runs/tiny-rpn
  deepres localize train resnet18 --rpn runs/tiny-rpn \\
      --data tiny-imagenet-200 --set crop=56 --set context=14 --bad-boxes skip --steps 2000"""


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "train",
        help="train a localization network by the paper's recipe, or go on with a run",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training(
        parser,
        networks="what it is built on, e.g. resnet101",
        several=False,
        seeds="new layers, order and draws",
        setting="lr=0.02",
        folder="runs/<network>-localization[-rcnn][-<field>=<value>…][-<steps>steps]-s<seed>",
    )
    parser.add_argument(
        "--rpn",
        type=Path,
        metavar="RUN",
        help="train an R-CNN that judges and moves the boxes which this run's RPN proposes",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="WEIGHTS",
        help=f"weights of the network, trained for classification: {NAMED_HELP} (with "
        "--rpn by default: those that the RPN began with)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="the folder with train/<class>/, val/<class>/, ILSVRC2012_bbox_train/ and "
        "ILSVRC2012_bbox_val/, or Tiny-ImageNet as published (default: where a run's data are, "
        f"else {IMAGENET_FOLDER})",
    )
    add_bad_boxes(parser, "stop")
    add_precision_hint(parser)
    parser.set_defaults(call="localize_train.call")
