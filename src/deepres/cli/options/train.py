"""What deepres train takes."""

import argparse

from deepres.cli import Commands
from deepres.cli.options.common import add_bad_images, add_training
from deepres.cli.options.weights import NAMED_HELP
from deepres.cli.terminal import DATA_HELP


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "train", help="train a network by the paper's recipe, or go on with a run"
    )
    add_training(
        parser,
        networks="a network of the paper, e.g. resnet20; several are trained at once",
        several=True,
        seeds="weights, order and crops",
        setting="lr=0.05",
        folder="runs/<network>[-fine-tuned][-<field>=<value>…][-<steps>steps]-s<seed>; of several "
        "runs, one in FOLDER each",
    )
    parser.add_argument("--data", metavar="FOLDER", help=DATA_HELP)
    parser.add_argument(
        "--weights",
        metavar="WEIGHTS",
        help=f"fine-tune these, on classes of one's own: {NAMED_HELP} (default: random weights, by "
        "the paper's recipe)",
    )
    parser.add_argument(
        "--freeze",
        metavar="STAGE",
        help="with --weights: keep the stages up to this one as they are, e.g. conv4_x (short for "
        "--set freeze=…; default: all of them learn)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="train N runs of a network at once, of this seed and the next",
    )
    parser.add_argument(
        "--accumulate",
        type=int,
        metavar="PARTS",
        help="take each process's share of a batch in parts, if memory is short "
        "(short for --set accumulate=…)",
    )
    parser.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        help="short for --set precision=… (default: bf16 where the device has it, else fp32)",
    )
    parser.add_argument(
        "--no-fused-kernels",
        action="store_true",
        help="PyTorch's own operations, one by one, in place of fused kernels and, on CUDA, of a "
        "graph of them",
    )
    parser.add_argument(
        "--no-fused-convolutions",
        action="store_true",
        help="on CUDA: CIFAR-10's networks with cuDNN's convolutions, not by one kernel a layer",
    )
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="compute blocks again in the backward pass, if memory is short",
    )
    add_bad_images(parser, default=None)
    parser.set_defaults(call="train.call")
