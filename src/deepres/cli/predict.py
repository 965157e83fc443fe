"""deepres predict: what a trained network sees in image files."""

import argparse

import torch

from deepres.cli.terminal import print_table, say
from deepres.data.images import open_image
from deepres.data.views import one_crop
from deepres.errors import UserError
from deepres.evaluation.predict import predict
from deepres.models import load_model
from deepres.runtime import make_repeatable, resolve_device


def call(options: argparse.Namespace) -> int:
    """Print the likeliest classes of each image; unreadable files are named at the end."""
    if options.top < 1:
        raise UserError(f"--top must be at least 1, got {options.top}")
    device = resolve_device(options.device)
    make_repeatable(device)
    classifier = load_model(options.weights, device)
    unreadable = 0
    for path in options.images:
        try:
            image = open_image(path)
        except (UserError, OSError) as error:
            say(f"deepres: {error}")
            unreadable += 1
            continue
        (centre,) = one_crop(image, classifier.crop, classifier.short_side)
        pixels = torch.tensor(centre).permute(0, 3, 1, 2)  # (1, 3, H, W)
        (guesses,) = predict(classifier, pixels.to(device), options.top)
        rows = [[guess.name, f"{100 * guess.probability:.1f} %"] for guess in guesses]
        print_table(str(path), ["class", "probability"], rows)
    if unreadable:
        raise UserError(f"{unreadable} of {len(options.images)} files could not be read")
    return 0
