"""Detectors in files: safetensors, with all inside that builds the detector again."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepres.detection.faster_rcnn import Detector
from deepres.errors import UserError
from deepres.models.create import build_empty
from deepres.models.weight_checks import (
    ARCHITECTURE,
    INPUT_MEAN,
    INPUT_STD,
    building_from,
    check_fit,
    check_notes,
    take_preparation,
)
from deepres.models.weights import DETECTOR, read_weights, write_weights
from deepres.recipes.detector import DetectorSettings
from deepres.run_weights import weights_file

NOTED = {"architecture": ARCHITECTURE, "settings": dict, "classes": [str]}
"""Of a detector's tensors."""


def save_detector(path: Path, detector: Detector, meta: dict[str, Any]) -> None:
    """Write a detector's tensors and, in the file's metadata, what is needed to use them.

    Args:
        path: a .safetensors file, written atomically.
        detector: what was trained.
        meta: what else to note about it, anything that JSON can hold.
    """
    described = {
        DETECTOR: {
            "architecture": detector.architecture,
            "settings": dataclasses.asdict(detector.settings),
            "classes": detector.classes,
        },
        **meta,
    }
    preparation = {INPUT_MEAN: detector.mean, INPUT_STD: detector.std}
    write_weights(path, {**detector.state_dict(), **preparation}, described)


def load_detector(path: str | Path, device: str | torch.device = "cpu") -> Detector:
    """Load a detector, in evaluation mode.

    Args:
        path: the folder of a detector's run, or a .safetensors file that ``save_detector`` wrote.
        device: where to put it.

    Raises:
        UserError: there are no weights, they are no detector's, or they do not fit it.
    """
    file = weights_file(Path(path))
    tensors, meta = read_weights(file)
    if DETECTOR not in meta:
        raise UserError(
            f"{file} holds no detector of deepres; give a run of deepres detect train, "
            "or train one on these weights"
        )
    detector = restored(tensors, meta, file)
    detector.eval().to(device)
    return detector


def restored(tensors: dict[str, Tensor], meta: dict[str, Any], file: Path) -> Detector:
    """Build the detector of a weight file's tensors and notes, as ``read_weights`` gives them.

    Raises:
        UserError: they do not fit each other.
    """
    described = meta[DETECTOR]
    check_notes(described, NOTED, file)
    mean, std = take_preparation(tensors, file)
    with building_from(file):
        settings = DetectorSettings.from_dict(described["settings"])
        network = build_empty(**described["architecture"])
        colour = mean.mean((1, 2))
        detector = Detector(network, colour, std.flatten(), described["classes"], settings)
    check_fit(detector.state_dict(), tensors, file)
    detector.load_state_dict(tensors, assign=True)
    return detector
