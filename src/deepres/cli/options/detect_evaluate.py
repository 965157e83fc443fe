"""What deepres detect evaluate takes."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.options.common import add_bad_boxes, add_execution, add_json
from deepres.cli.options.hints import add_precision_hint
from deepres.cli.options.improvements import add_improvements

EPILOG = """Table 9, with two runs of COCO's recipe, the second with --set global_context=true:
  deepres detect evaluate runs/resnet101-coco-s0 runs/resnet101-coco-context-s0 --ablation
A results file in VOC's, ImageNet DET's or COCO's format, whoever made it:
  deepres detect evaluate --results results/VOC2007/Main --on voc2007-test --data VOCdevkit"""


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "evaluate",
        help="test a detector, an ensemble of several, or a results file",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs",
        type=Path,
        nargs="*",
        metavar="WEIGHTS",
        help="a run's folder or a .safetensors file; several: ensemble",
    )
    parser.add_argument(
        "--on",
        metavar="SET",
        help="voc2007-test, coco2014-val, coco-test-dev, imagenet-det-val2, or a list of images in "
        "a folder of one's own (default: the test set of the first run)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="where the data set was unpacked (default: as in training)",
    )
    add_bad_boxes(parser, "as in training, else stop")
    add_improvements(parser)
    parser.add_argument(
        "--ablation",
        action="store_true",
        help="the rows of Table 9, each with one improvement more; runs with global context and "
        "more than one of them add theirs",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE|FOLDER",
        help="score this results file of the benchmark's official format, without a detector",
    )
    parser.add_argument(
        "--save-submission",
        type=Path,
        metavar="FOLDER",
        help="write what is found in the benchmark's official format, for its server",
    )
    add_execution(parser)
    add_json(parser)
    add_precision_hint(parser)
    parser.set_defaults(call="detect_evaluate.call")
