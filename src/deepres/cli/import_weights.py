"""deepres import: other people's weights."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.terminal import say
from deepres.data.download import file_digest
from deepres.errors import UserError
from deepres.files import check_free
from deepres.models import load_model, save_weights
from deepres.models.exchange import SOURCES, import_weights
from deepres.models.exchange.preparation import CROP, SHORT_SIDE


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "import", help="turn weights of torchvision, timm or Caffe into a .safetensors file"
    )
    parser.add_argument("file", type=Path, help="a .pth, .safetensors or .caffemodel file")
    parser.add_argument("--model", required=True, help="its network, e.g. resnet50")
    parser.add_argument("--from", dest="source", required=True, choices=SOURCES)
    parser.add_argument(
        "--mean",
        type=Path,
        metavar="FILE",
        help="Caffe's mean image, a .binaryproto (default: the usual mean of each channel)",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="the classes' names, one a line (default: ImageNet's, where torchvision is installed)",
    )
    parser.add_argument(
        "--crop",
        type=int,
        default=CROP,
        metavar="PIXELS",
        help="side of the square that the network takes (default: %(default)s)",
    )
    parser.add_argument(
        "--short-side",
        type=int,
        default=SHORT_SIDE,
        metavar="PIXELS",
        help="what an image's shorter side is scaled to before (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, help="the new file (default: MODEL-SOURCE.safetensors beside FILE)"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files that are there already by default names"
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Read the file, write it as ours, and load that once to be sure."""
    file: Path = options.file
    out = options.out or file.with_name(f"{options.model}-{options.source}.safetensors")
    if out.suffix != ".safetensors":
        raise UserError(f"--out must end in .safetensors, got {out}")
    if out.resolve() == file.resolve():
        raise UserError(f"{out} would replace the file that is read; choose another by --out")
    if not options.out and not options.force:
        check_free([out])
    classifier = import_weights(
        file,
        options.model,
        options.source,
        mean=options.mean,
        classes=options.classes,
        crop=options.crop,
        short_side=options.short_side,
        say=say,
    )
    checksum = file_digest(file, "sha256")
    origin = {"source": options.source, "file": file.name, "sha256": checksum}
    save_weights(out, classifier, {"imported": origin})
    load_model(out)
    print(f"{options.model} in {out}; classify by: deepres predict {out} IMAGE")
    return 0
