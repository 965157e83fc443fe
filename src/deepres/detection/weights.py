"""Detectors in files: safetensors, with all inside that builds the detector again."""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from deepres.detection.faster_rcnn import Detector
from deepres.models.create import build_empty
from deepres.models.weight_checks import INPUT_MEAN, INPUT_STD, building_from, take_preparation
from deepres.models.weights import OpenedWeights, open_weights, save_network
from deepres.recipes.detector import DetectorSettings


def save_detector(path: Path, detector: Detector, meta: dict[str, Any]) -> None:
    """Write a detector's tensors and, in the file's metadata, what is needed to use them.

    Args:
        path: a .safetensors file, written atomically.
        detector: what was trained.
        meta: what else to note about it, anything that JSON can hold.
    """
    described = {
        "architecture": detector.architecture,
        "settings": dataclasses.asdict(detector.settings),
        "classes": detector.classes,
    }
    own = {INPUT_MEAN: detector.mean, INPUT_STD: detector.std}
    save_network(path, "detector", {**detector.state_dict(), **own}, described, meta)


def load_detector(path: str | Path, device: str | torch.device = "cpu") -> Detector:
    """Load a detector, in evaluation mode.

    Args:
        path: the folder of a detector's run, or a .safetensors file that ``save_detector`` wrote.
        device: where to put it.

    Raises:
        UserError: there are no weights, they are no detector's, or they do not fit it.
    """
    detector = restored(open_weights(path, "detector"))
    detector.eval().to(device)
    return detector


def restored(opened: OpenedWeights) -> Detector:
    """Build the detector of a weight file.

    Raises:
        UserError: its tensors and notes do not fit each other.
    """
    described = opened.network
    mean, std = take_preparation(opened.tensors, opened.file)
    with building_from(opened.file):
        settings = DetectorSettings.from_dict(described["settings"])
        network = build_empty(**described["architecture"])
        colour = mean.mean((1, 2))
        detector = Detector(network, colour, std.flatten(), described["classes"], settings)
    opened.fill(detector)
    return detector
