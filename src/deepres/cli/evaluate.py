"""deepres evaluate: errors of trained networks, alone and as an ensemble."""

import argparse
import os
from functools import partial
from pathlib import Path

from deepres.cli import Commands
from deepres.cli.terminal import DATA_HELP, open_data, print_table, say
from deepres.data.cifar10 import Cifar10, ImageSet
from deepres.data.folder import ImageFiles, open_test_images
from deepres.data.imagenet import CLASSES_FILE, load_classes
from deepres.data.views import VIEWS
from deepres.distributed import join_world
from deepres.errors import UserError
from deepres.evaluation.protocol import score_weights
from deepres.evaluation.score_files import save_scores, write_submission
from deepres.evaluation.scores import Scores, average
from deepres.models import Classifier, load_model
from deepres.models.weights import weights_file
from deepres.progress import Progress
from deepres.report.figures import confusion_matrix
from deepres.report.pictures import PICTURES
from deepres.run_folder import RunFolder
from deepres.runtime import keep_freed_memory

CLASSES_SHOWN = 20
"""With more classes than this, only the worst are listed, and no confusion matrix is drawn."""


def add_to(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Declare the command's options."""
    parser = commands.add_parser(
        "evaluate", help="test a trained network, or several and their ensemble"
    )
    parser.add_argument(
        "weights", type=Path, nargs="+", help="run folders or .safetensors files; several: ensemble"
    )
    parser.add_argument("--data", help=DATA_HELP)
    parser.add_argument(
        "--views",
        choices=VIEWS,
        default="1-crop",
        help="what the network sees of an image (§3.4): its centre (default), the 10 crops, or the "
        "whole image and its mirror image at five scales; the scores are averaged",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--workers", type=int, help="processes that decode images (default: one a core, up to 8)"
    )
    parser.add_argument(
        "--fold", action="store_true", help="fold BN into the convolutions; the same, but faster"
    )
    parser.add_argument(
        "--bad-images",
        choices=["fail", "skip"],
        default="fail",
        help="stop at a file that cannot be decoded (default), or leave it out and say so",
    )
    parser.add_argument(
        "--save-scores", type=Path, metavar="FILE", help="write each image's scores as .npz"
    )
    parser.add_argument(
        "--submission",
        type=Path,
        metavar="FILE",
        help="write the five likeliest classes of each image as ILSVRC takes them",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        help="where to draw the confusion matrix (default: beside the weights, or here)",
    )
    parser.set_defaults(call=call)


def call(options: argparse.Namespace) -> int:
    """Evaluate each network, print the errors, and draw the confusion matrix."""
    if options.picture and options.picture.suffix.lower() not in PICTURES:
        raise UserError(f"--picture must end in {' or '.join(PICTURES)}, got {options.picture}")
    if options.save_scores and options.save_scores.suffix != ".npz":
        raise UserError(f"--save-scores must end in .npz, got {options.save_scores}")
    keep_freed_memory()
    world, device = join_world(options.device)
    members, errors = [], []
    named: dict[tuple[str, ...], Path] = {}
    for weights in options.weights:
        classifier = load_model(weights, device)
        named.setdefault(classifier.classes, weights)
        images, source = _test_images(options.data, weights, classifier)
        say(f"evaluating {weights}, {options.views}, on {source}")
        scores = score_weights(
            weights,
            classifier,
            images,
            options.views,
            source=source,
            device=device,
            world=world,
            workers=options.workers,
            fold=options.fold,
            skip_bad=options.bad_images == "skip",
            say=say,
            progress=partial(Progress, shown=world.leader),
        )
        if world.leader:
            if options.submission and len(scores.names) < len(images):
                raise UserError("a submission needs a line for every image; mend those left out")
            members.append(scores)
            errors.append([str(weights), *_errors(scores)])
    if not world.leader:
        return 0
    scores = average(members)
    if len(named) > 1:
        which = " and ".join(map(str, named.values()))
        say(f"classes are matched in order: {which} have other names for them")
    if len(members) > 1:
        errors.append([f"ensemble of {len(members)}", *_errors(scores)])
    _report(options, classifier, scores, errors, source)
    return 0


def _test_images(
    data: str | None, weights: Path, classifier: Classifier
) -> tuple[ImageSet | ImageFiles, str]:
    """Return what to test on, and its name in words."""
    run = RunFolder(weights_file(weights).parent)
    if data is None and run.recipe.exists():
        data = run.read_meta()["data"]["location"]
    of_cifar = data in (None, "sample") or Path(data or "", "test_batch.bin").exists()
    if classifier.network.input_size == 32 and of_cifar:
        cifar = open_data(data)
        assert isinstance(cifar, Cifar10)
        return cifar.test, f"the test images of {cifar.source}"
    if data is None:
        raise UserError(f"{weights} does not say what to test on; give --data")
    images, classes = open_test_images(Path(data))
    if len(classes) not in (0, len(classifier.classes)):
        raise UserError(
            f"{data} has {len(classes)} classes, but {weights} has {len(classifier.classes)}"
        )
    if classes and classes != classifier.classes:
        say(
            f"classes are matched in order: the first is {classes[0]} in {data} and "
            f"{classifier.classes[0]} in {weights}"
        )
    return images, f"{len(images):,} images of {data}"


def _errors(scores: Scores) -> list[str]:
    if not scores.known:
        return ["unknown", "unknown"]
    return [f"{scores.error_pct(1):.2f}", f"{scores.error_pct(5):.2f}"]


def _report(
    options: argparse.Namespace,
    classifier: Classifier,
    scores: Scores,
    errors: list[list[str]],
    source: str,
) -> None:
    """Print and draw what was found, and write the files that were asked for."""
    print_table("", [f"{options.views}, {source}", "top-1 error (%)", "top-5 error (%)"], errors)
    if scores.known:
        confusion = scores.confusion()
        own_errors = 100 * (1 - confusion.diag() / confusion.sum(1))
        order = list(range(len(own_errors)))
        if len(order) > CLASSES_SHOWN:
            order = own_errors.nan_to_num(-1).argsort(descending=True)[:CLASSES_SHOWN].tolist()
        rows = [[classifier.classes[i], f"{float(own_errors[i]):.2f}"] for i in order]
        worst = "" if len(order) == len(own_errors) else f"the worst {len(order)} classes"
        print_table(worst, ["class", "error (%)"], rows)
        if len(classifier.classes) <= CLASSES_SHOWN:
            beside = weights_file(options.weights[0]).parent
            folder = beside if os.access(beside, os.W_OK) else Path()
            picture = confusion_matrix(
                confusion.tolist(),
                classifier.classes,
                f"{source}: {errors[-1][1]} % error",
                options.picture or folder / "confusion.png",
            )
            print(f"confusion matrix: {picture}")
    if options.save_scores:
        save_scores(options.save_scores, scores, classes=list(classifier.classes))
        print(f"scores: {options.save_scores}")
    if options.submission:
        folder = Path(options.data or ".")  # ImageNet's own, or val or test in it
        known = load_classes(folder if (folder / CLASSES_FILE).exists() else folder.parent)
        ids = {wnid: entry.id for wnid, entry in known.items()}
        write_submission(options.submission, scores, classifier.classes, ids)
        print(f"submission: {options.submission}")
