"""deepres localize predict: where a trained network says that the object of an image file is."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from deepres.cli.picture_files import draw_each, save_drawn, shrunk
from deepres.cli.runs import classifier_of
from deepres.cli.terminal import print_json, print_table, say, show
from deepres.cli.training import execution_of
from deepres.data.detection.boxed_images import BoxedImages
from deepres.errors import UserError, unknown_name
from deepres.evaluation.predict import predict
from deepres.models import load_classifier
from deepres.pretrained import find_weights

if TYPE_CHECKING:
    from deepres.models import Classifier

Found = dict[str, Any]
"""An image as --json has it."""


def call(options: argparse.Namespace) -> int:
    """Draw the boxes in each image and print them; unreadable files are named at the end."""
    if options.top < 1:
        raise UserError(f"--top must be at least 1, got {options.top}")
    from deepres.detection.drawing import draw_detections  # not everyone has torchvision
    from deepres.evaluation.detection.localization_protocol import load_network, locate_by

    # An image at a time: starting processes to decode it would take longer.
    execution = execution_of(options, workers=0).alone().quietly()
    localizer, meta = load_network(options.run, execution.device)
    classes = localizer.classes
    classifier = None
    if options.target is None:
        classifier = _classifier(options, meta, execution.device)
        if classifier.classes != classes:
            raise UserError(
                "the classifier knows other classes than the run; name another by --classifier, "
                "or the class by --class"
            )
    elif options.target not in classes:
        raise unknown_name("class", options.target, classes)
    told: list[Found] = []

    def look(path: Path, image: Image.Image, place: Path) -> None:
        asked = _asked(classifier, image, options)
        names = [each["class"] for each in asked]
        numbers = torch.tensor([[classes.index(name) for name in names]])
        seen = BoxedImages.without_boxes([path], [image.size])
        (boxes,) = locate_by([localizer], seen, numbers, options.views, execution)
        picture = shrunk(image)
        scale = picture.width / image.width
        scores = torch.tensor([each["probability"] for each in asked]) if classifier else None
        drawn = draw_detections(picture, boxes * scale, names, scores, classes=classes)
        save_drawn(drawn, place)
        size = {"width": image.width, "height": image.height}
        objects = [{**each, "box": box} for each, box in zip(asked, boxes.tolist(), strict=True)]
        told.append({"image": str(path), **size, "objects": objects, "picture": str(place)})
        if not options.json:
            _print(told[-1])

    try:
        draw_each(options.images, options.out, look)
    finally:
        if options.json:
            whole = {"weights": str(options.run), "images": told}
            print_json(whole)
    return 0


def _classifier(
    options: argparse.Namespace, meta: dict[str, Any], device: torch.device
) -> "Classifier":
    """Return what predicts the classes."""
    if options.classifier:
        return load_classifier(find_weights(options.classifier, say=say), device)
    return load_classifier(classifier_of(meta), device)


def _asked(
    classifier: "Classifier | None", image: Image.Image, options: argparse.Namespace
) -> list[Found]:
    """Return the classes whose objects are looked for, with their probabilities if predicted."""
    if classifier is None:
        return [{"class": options.target}]
    (guesses,) = predict(classifier, image, options.top)
    return [{"class": guess.name, "probability": guess.probability} for guess in guesses]


def _print(found: Found) -> None:
    show(f"{found['image']}: drawn in {found['picture']}")
    rows = [
        [
            each["class"],
            f"{100 * each['probability']:.1f} %" if "probability" in each else "–",
            *(f"{side:.0f}" for side in each["box"]),
        ]
        for each in found["objects"]
    ]
    print_table("", ["class", "probability", "x1", "y1", "x2", "y2"], rows)
