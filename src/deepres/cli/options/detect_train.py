"""What deepres detect train takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_bad_boxes, add_training
from deepres.cli.options.hints import add_precision_hint
from deepres.cli.options.weights import NAMED_HELP
from deepres.recipes.detection import DATASETS

EPILOG = """Table 7 and Table 8, with classification weights at hand (see deepres train, import):
  deepres detect train vgg16     --on voc07+12  --data VOCdevkit --weights vgg16.safetensors
  deepres detect train resnet101 --on voc07+12  --data VOCdevkit --weights resnet101.safetensors
  deepres detect train resnet101 --on voc07++12 --data VOCdevkit --weights resnet101.safetensors
  torchrun --nproc-per-node 8 -m deepres detect train resnet101 --on coco --data coco \\
      --bad-boxes skip --weights resnet101.safetensors
from a run of your own, with exact BN statistics, as in the paper:
  deepres batchnorm runs/resnet101-s0
  deepres detect train resnet101 --on voc07+12 --data VOCdevkit \\
      --weights runs/resnet101-s0/model.batchnorm.safetensors"""


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "train",
        help="train a detector by the paper's recipe, or go on with a run",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training(
        parser,
        networks="the network that it is built on, e.g. resnet101 or vgg16",
        several=False,
        seeds="new weights, order and draws",
        setting="batch_norm=trained",
        folder="runs/<network>-<data set>[-joint][-<field>=<value>…][-<steps>steps]-s<seed>",
    )
    parser.add_argument(
        "--on",
        metavar="SET",
        help=f"{', '.join(DATASETS)}, or a folder in VOC's or COCO's layout with the lists "
        "trainval and test, or others by --set train_set=LIST --set test_set=LIST",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="where the data set was unpacked: the folder with VOC2007 and VOC2012, COCO's with "
        "annotations, or ImageNet's (default: where a run's data are, else VOCdevkit, coco or "
        "ILSVRC)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="WEIGHTS",
        help=f"weights of the classifier that it starts from: {NAMED_HELP}; or of a "
        "detector, whose layers are kept but for those of its classes (default: random weights)",
    )
    parser.add_argument(
        "--schedule",
        choices=["4-step", "joint"],
        help="alternate between proposals and regions, as in the paper (default), or train both "
        "at once, for as many steps as one of the four",
    )
    add_bad_boxes(parser, "stop")
    add_precision_hint(parser)
    parser.set_defaults(call="detect_train.call")
