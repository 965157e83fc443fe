"""deepres explain: where in an image a network sees a class, and what each block adds."""

import argparse
import itertools
from pathlib import Path
from statistics import median

from deepres.cli.terminal import print_json, print_table, say, show
from deepres.errors import UserError
from deepres.evaluation.contributions import Contribution
from deepres.evaluation.explain import explain
from deepres.files import check_ours
from deepres.models import load_classifier
from deepres.pretrained import find_weights
from deepres.report.explanation import Bar, explanation
from deepres.report.pictures import PICTURES, save_picture
from deepres.runtime import make_repeatable, resolve_device


def call(options: argparse.Namespace) -> int:
    """Draw the picture, and print the likeliest classes and the blocks' contributions."""
    if options.top < 1:
        raise UserError(f"--top must be at least 1, got {options.top}")
    out = options.out or Path(f"{options.image.stem}-explained.png")
    if options.out is None:
        check_ours(out)
    if out.suffix.lower() not in PICTURES:
        raise UserError(f"--out must end in {' or '.join(PICTURES)}, got {out}")
    if out.resolve() == options.image.resolve():
        raise UserError(f"{out} would replace the image that is read; choose another --out")
    device = resolve_device(options.device)
    make_repeatable(device)
    classifier = load_classifier(find_weights(options.subject, options.source, say), device)
    found = explain(classifier, options.image, options.top, options.target)
    guesses, target, blocks = found.guesses, found.target, found.blocks
    network, subject = classifier.network.architecture["name"], str(options.subject)
    figure = explanation(
        found.pixels,
        found.heat,
        target,
        guesses,
        [Bar(block.stage, block.ratio) for block in blocks],
        f"{options.image.name} by {network}" + (f" ({subject})" if subject != network else ""),
    )
    picture = save_picture(figure, out)
    if not blocks:
        say(f"{options.subject} has no residual blocks: there is nothing that they add to show")
    if options.json:
        told = {
            "weights": str(options.subject),
            "image": str(options.image),
            "classes": [{"class": g.name, "probability": g.probability} for g in guesses],
            "grad_cam": {"class": target, "map": found.heat.tolist()},
            "blocks": [{"block": b.block, "stage": b.stage, "ratio": b.ratio} for b in blocks],
            "picture": str(picture),
        }
        print_json(told)
        return 0
    rows = [[guess.name, f"{100 * guess.probability:.1f} %"] for guess in guesses]
    print_table(str(options.image), ["class", "probability"], rows)
    if blocks:
        _print_contributions(blocks)
    show(f"picture, Grad-CAM of {target}: {picture}")
    return 0


def _print_contributions(blocks: list[Contribution]) -> None:
    rows = []
    for stage, same in itertools.groupby(blocks, lambda block: block.stage):
        ratios = [block.ratio for block in same]
        known = [ratio for ratio in ratios if ratio is not None] or [float("nan")]
        numbers = (min(known), median(known), max(known))
        rows.append([stage, str(len(ratios)), *(f"{number:.2f}" for number in numbers)])
    columns = ["‖F(x)‖ / ‖x‖", "blocks", "smallest", "median", "largest"]
    print_table("", columns, rows)
