"""deepres predict: what a trained network sees in images."""

import argparse
import csv
import sys
from collections.abc import Iterator

import torch

from deepres.cli.terminal import print_json, print_table, say
from deepres.data.named_images import named_images
from deepres.errors import UserError
from deepres.evaluation.predict import AT_ONCE, Guess, predict
from deepres.models import Classifier, load_classifier
from deepres.pretrained import find_weights
from deepres.runtime import make_repeatable, resolve_device

Prediction = tuple[str, list[Guess]]
"""An image's name, and its likeliest classes in order."""


def call(options: argparse.Namespace) -> int:
    """Print the likeliest classes of each image; what cannot be read is named at the end."""
    if options.top < 1:
        raise UserError(f"--top must be at least 1, got {options.top}")
    device = resolve_device(options.device)
    make_repeatable(device)
    classifier = load_classifier(find_weights(options.subject, options.source, say), device)
    names = list(named_images(options.images, say))
    predictions = _predictions(classifier, names, options.top)
    if options.json:
        read = _print_json(predictions, str(options.subject))
    else:
        read = _print_csv(predictions) if options.csv else _print_tables(predictions)
    if read < len(names):
        raise UserError(f"{len(names) - read} of {len(names)} images could not be read")
    return 0


def _predictions(classifier: Classifier, names: list[str], top: int) -> Iterator[Prediction]:
    for start in range(0, len(names), AT_ONCE):
        read, crops = [], []
        for name in names[start : start + AT_ONCE]:
            try:
                crops.append(classifier.crops(name))
            except (UserError, OSError) as error:
                say(f"deepres: {error}")
                continue
            read.append(name)
        if crops:
            yield from zip(read, predict(classifier, torch.cat(crops), top), strict=True)


def _print_tables(predictions: Iterator[Prediction]) -> int:
    read = 0
    for name, guesses in predictions:
        rows = [[guess.name, f"{100 * guess.probability:.1f} %"] for guess in guesses]
        print_table(name, ["class", "probability"], rows)
        read += 1
    return read


def _print_json(predictions: Iterator[Prediction], weights: str) -> int:
    images = [
        {"image": name, "classes": [{"class": g.name, "probability": g.probability} for g in found]}
        for name, found in predictions
    ]
    print_json({"weights": weights, "images": images})
    return len(images)


def _print_csv(predictions: Iterator[Prediction]) -> int:
    read, writer = 0, csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["image", "rank", "class", "probability"])
    for name, guesses in predictions:
        rows = [(name, i, g.name, g.probability) for i, g in enumerate(guesses, start=1)]
        writer.writerows(rows)
        read += 1
    return read
