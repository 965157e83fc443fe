"""deepres evaluate: a trained network's errors."""

import argparse
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.terminal import DATA_FOLDER, DATA_HELP, open_data, print_table, say
from deepres.evaluation import evaluate
from deepres.models import load_model
from deepres.progress import Progress
from deepres.report.figures import confusion_matrix
from deepres.run_folder import RunFolder
from deepres.runtime import keep_freed_memory, resolve_device


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser("evaluate", help="test a trained network")
    parser.add_argument("weights", type=Path, help="a run folder or a .safetensors file")
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument("--split", choices=["test", "train"], default="test")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--picture",
        type=Path,
        help="where to draw the confusion matrix (default: beside the weights)",
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Evaluate, print the errors, and draw the confusion matrix."""
    keep_freed_memory()
    device = resolve_device(options.device)
    classifier = load_model(options.weights, device)
    data = open_data(options.data or _own_data(options.weights))
    images = (data.test if options.split == "test" else data.train).to(device)
    say(f"evaluating on the {options.split} images of {data.source}")
    with Progress("evaluate", len(images)) as bar:
        evaluation = evaluate(classifier, images, on_batch=bar.update)

    print(
        f"{options.split} error {evaluation.error_pct:.2f} % "
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
        f"{options.split} images of {data.source}: {evaluation.error_pct:.2f} % error",
        options.picture or folder / f"confusion-{options.split}.png",
    )
    print(f"confusion matrix: {picture}")
    return 0


def _own_data(weights: Path) -> str:
    """Where the data are that a run was trained on; for bare weights, the usual folder."""
    if not weights.is_dir():
        return str(DATA_FOLDER)
    location: str = RunFolder(weights).read_meta()["data"]["location"]
    return location
