"""What networks are called, and the detectors that they become part of."""

import re

from deepres.kinds import KINDS
from deepres.report.papers_runs import PAPERS_DATA


def title(model: str) -> str:
    """Return a network's name as the paper prints it: "ResNet-20"."""
    kinds = {"plain": "plain", "resnet": "ResNet", "vgg": "VGG", "highway": "Highway"}
    match = re.fullmatch(r"([a-z]+)(\d+)(.*)", model)
    return f"{kinds[match[1]]}-{match[2]}{match[3]}" if match and match[1] in kinds else model


def papers_detector(network: str, dataset: str) -> str:
    """Return what the paper's detector on a network is called, by its recipe's data set."""
    return on_data(network, KINDS["detection"].part, PAPERS_DATA[dataset])


def on_data(network: str, part: str, data: str) -> str:
    """Return what tells networks that are part of a detector apart: "vgg16 detector on VOC"."""
    return f"{network} {part} on {data}"
