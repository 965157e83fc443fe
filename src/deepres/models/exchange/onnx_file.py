"""The network as an ONNX graph, and running such a graph. Needs the extra ``onnx``."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from deepres.extras import optional_package
from deepres.models.classifier import Classifier
from deepres.models.exchange.preparation import describe
from deepres.models.vgg import VGG
from deepres.models.weights import METADATA

INPUT, OUTPUT = "image", "logits"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check_packages() -> None:
    """Make sure that graphs can be built and run.

    Raises:
        UserError: a package for it is not installed.
    """
    for package in PACKAGES:
        optional_package(package, "onnx", "ONNX needs")


def encode_onnx(classifier: Classifier) -> bytes:
    """Return the content of an .onnx file: prepared images (N, 3, H, W) to logits (N, classes).

    N, H and W are free, but for VGG, whose fully connected layers fix H and W. How an image is
    prepared stands in the metadata, under ``deepres``.
    """
    network = classifier.network.to(memory_format=torch.contiguous_format)
    free = {0: "batch"} if isinstance(network, VGG) else {0: "batch", 2: "height", 3: "width"}
    # Two images: the exporter would take a batch of one for a constant.
    example = torch.zeros(2, 3, classifier.crop, classifier.crop, device=classifier.mean.device)
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=(free,),
        )
    assert program is not None
    model = program.model_proto
    for described in (model.graph, *model.graph.node, *model.graph.value_info):
        del described.metadata_props[:]  # stack traces with the paths of this computer
    model.metadata_props.add(key=METADATA, value=json.dumps(describe(classifier)))
    content: bytes = model.SerializeToString()
    return content


def run_onnx(file: Path, images: Tensor) -> Tensor:
    """Return the logits (N, classes) of an .onnx file for prepared ``images`` (N, 3, H, W)."""
    from onnxruntime import InferenceSession  # not everyone has it: see check_packages

    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    (logits,) = session.run([OUTPUT], {INPUT: images.cpu().numpy()})
    return torch.from_numpy(logits)


def check_sizes(classifier: Classifier) -> list[tuple[int, int, int]]:
    """Return what sizes of input (N, H, W) to compare the graph with the network at."""
    side = classifier.crop
    if isinstance(classifier.network, VGG):
        return [(1, side, side), (3, side, side)]
    return [(1, side, side), (3, side + side // 8, side - side // 8 + 1)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter says of itself: deprecations, and sizes it cannot simplify."""
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
