"""deepres evaluate: a trained network's errors."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.terminal import DATA_HELP, open_data, print_table, say
from deepres.errors import UserError
from deepres.evaluation import evaluate
from deepres.models import load_model
from deepres.progress import Progress
from deepres.report.figures import PICTURES, confusion_matrix
from deepres.run_folder import RunFolder
from deepres.runtime import keep_freed_memory, resolve_device


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("evaluate", help="test a trained network")
    parser.add_argument("weights", type=Path, help="a run folder or a .safetensors file")
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--picture",
        type=Path,
        help="where to draw the confusion matrix (default: beside the weights)",
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Evaluate, print the errors, and draw the confusion matrix."""
    if options.picture and options.picture.suffix.lower() not in PICTURES:
        raise UserError(f"--picture must end in {' or '.join(PICTURES)}, got {options.picture}")
    keep_freed_memory()
    device = resolve_device(options.device)
    classifier = load_model(options.weights, device)
    data = open_data(options.data or _own_data(options.weights))
    images = data.test.to(device)
    say(f"evaluating on the test images of {data.source}")
    with Progress("evaluate", len(images)) as bar:
        evaluation = evaluate(classifier, images, on_batch=bar.update)

    print(
        f"test error {evaluation.error_pct:.2f} % "
        f"({evaluation.errors:,} of {evaluation.images:,} wrong), loss {evaluation.loss:.4f}"
    )
    rows = [
        [name, f"{error:.2f}"]
        for name, error in zip(classifier.classes, evaluation.class_error_pct, strict=True)
    ]
    print_table("", ["class", "error (%)"], rows)
    folder = options.weights if options.weights.is_dir() else options.weights.parent
    picture = confusion_matrix(
        evaluation.confusion.tolist(),
        classifier.classes,
        f"test images of {data.source}: {evaluation.error_pct:.2f} % error",
        options.picture or folder / "confusion.png",
    )
    print(f"confusion matrix: {picture}")
    return 0


def _own_data(weights: Path) -> str | None:
    """Where the data are that a run was trained on; None for bare weights."""
    if not weights.is_dir():
        return None
    location: str = RunFolder(weights).read_meta()["data"]["location"]
    return location
