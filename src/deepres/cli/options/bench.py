"""What deepres bench takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_execution, add_json

PHOTOGRAPHS_ON_CPU = 16
"""Images at a time for ImageNet's networks on a CPU, where the recipe's 256 take minutes."""
PROFILES = Path("profiles")
DESCRIPTION = """\
Measure training and inference of networks in images per second, on images that are there already.

Training is what deepres train does at each step; CIFAR-10's augmentation is a part of it, decoding
ImageNet's files is not. Inference is what deepres evaluate does for 1-crop views.

of limit   the operations of convolutions and fully connected layers per second (training: three
           times those of inference), as a share of the most that the machine does in the same
           precision in the same turn: on a CPU multiply-adds on registers in float32, a convolution
           that is known to be fast in bfloat16; on a GPU, or without a C compiler, a large matrix
           product
of copy    the least bytes moved per second, as a share of what a large copy reads and writes:
           each convolution and fully connected layer reads its input and its weights and writes its
           output once, all else costs nothing (training: three times that, without the optimizer).
           What passes from layer to layer in a cache can take it above 1
memory     the peak: allocated on a CUDA device; on a CPU, by which a fresh process grew

Ranges are over turns. With --threads 1 on a CPU, times are CPU times, which other work on the
machine disturbs less."""


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "bench",
        help="measure training and inference speed, memory, and the share of the machine's rates",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("networks", nargs="+", metavar="NETWORK", help="e.g. resnet20")
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="IMAGES",
        help="at a time (default: the recipe's for training, 200 for inference; for "
        f"ImageNet's networks on a CPU {PHOTOGRAPHS_ON_CPU})",
    )
    parser.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        default="auto",
        help="number format of activations and matrix products; auto (default): bf16 "
        "where the device has it, else fp32",
    )
    parser.add_argument("--only", choices=["training", "inference"], help="measure one of the two")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="replace a field of the recipe, e.g. shortcut=B or accumulate=4, as for deepres train",
    )
    add_execution(parser, workers=False)
    parser.add_argument(
        "--turns",
        type=int,
        metavar="N",
        default=5,
        help="turns of each measurement (default: %(default)s)",
    )
    parser.add_argument(
        "--turn-seconds",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="how long a turn is, at least (default: %(default)s); never less than one batch",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help=f"print the 10 costliest kernels (on a CPU: operators), and write a trace "
        f"for ui.perfetto.dev into {PROFILES}/",
    )
    add_json(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write what --json prints, after each measurement anew (default: no file)",
    )
    parser.set_defaults(call="bench.call")
