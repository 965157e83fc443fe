"""What deepres import takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "import",
        help="turn weights of torchvision, timm, Caffe and others into a .safetensors file",
    )
    parser.add_argument("network", metavar="NETWORK", help="whose weights they are, e.g. resnet50")
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="a .pth, .safetensors, .caffemodel, .pkl or .h5 file",
    )
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        choices=["torchvision", "timm", "caffe", "openmmlab", "detectron", "keras"],
        help="whose file it is; the last four have the authors' released ResNet-50, 101 and 152",
    )
    parser.add_argument(
        "--pool",
        choices=["pad", "ceil"],
        help="for the authors' released models: how the max pool treats the border. Theirs reaches "
        "over it (ceil), the other programs pad (default: as the program whose file it is)",
    )
    parser.add_argument(
        "--mean",
        type=Path,
        metavar="FILE",
        help="the released models' mean image, a .binaryproto (default: the program's mean of each "
        "channel)",
    )
    parser.add_argument(
        "--class-names",
        type=Path,
        metavar="FILE",
        help="the classes' names, one a line (default: of 1000 ImageNet's, else numbers)",
    )
    parser.add_argument(
        "--crop",
        type=int,
        default=224,
        metavar="PIXELS",
        help="side of the square that the network takes (default: %(default)s)",
    )
    parser.add_argument(
        "--short-side",
        type=int,
        default=256,
        metavar="PIXELS",
        help="what an image's short side is scaled to before (default: %(default)s)",
    )
    parser.add_argument(
        "--key",
        help="which weights of a checkpoint with several to take, e.g. state_dict (default: their "
        "moving average)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the new file (default: NETWORK-PROGRAM.safetensors beside the other)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that are there already by default names"
    )
    parser.set_defaults(call="import_weights.call")
