"""The programs that keep the authors' released ResNet-50, 101 and 152, and how each is read."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from deepres.models.create import build_empty
from deepres.models.exchange.caffe import read_caffemodel
from deepres.models.exchange.caffe_layers import RELEASED, check_released, state_from_layers
from deepres.models.exchange.checkpoint_file import read_state_dict
from deepres.models.exchange.detectron import read_detectron
from deepres.models.exchange.keras_h5 import read_keras
from deepres.models.exchange.preparation import CAFFE_MEAN, DETECTRON2_MEAN
from deepres.models.exchange.released_state import to_rgb_without_biases
from deepres.models.resnet import Pool
from deepres.models.stages import StagedNetwork

AS_PUBLISHED = "pooling reaches over the border, as in the authors' own network"
PADDED = (
    "pooling pads a pixel, as in {source}; the authors' own network reaches over the border "
    "instead (--pool ceil)"
)


class Program(NamedTuple):
    """Whose file it is."""

    read: Callable[[Path, str], dict[str, Tensor]]
    """Maps a file and the network's name to a state dict of ours."""
    mean: tuple[float, float, float]
    """What is subtracted from R, G and B of 0 to 255, if no mean image is given."""
    pool: Pool
    """How its networks pool; the file does not say."""


def _read_caffe(file: Path, name: str) -> dict[str, Tensor]:
    return to_rgb_without_biases(state_from_layers(read_caffemodel(file), name, file), name, file)


def _read_openmmlab(file: Path, name: str) -> dict[str, Tensor]:
    return to_rgb_without_biases(read_state_dict(file), name, file)


PROGRAMS = {
    "caffe": Program(_read_caffe, CAFFE_MEAN, "ceil"),
    "openmmlab": Program(_read_openmmlab, DETECTRON2_MEAN, "pad"),
    "detectron": Program(read_detectron, DETECTRON2_MEAN, "pad"),
    "keras": Program(read_keras, CAFFE_MEAN, "pad"),
}


def read_released(
    file: Path, name: str, source: str, pool: Pool | None
) -> tuple[StagedNetwork, dict[str, Tensor]]:
    """Return a released network, without memory, and the state dict that a file holds of it.

    Args:
        file: of the program ``source``.
        name: resnet50, resnet101 or resnet152.
        source: one of ``PROGRAMS``.
        pool: how it pools; None: as in that program.

    Raises:
        UserError: the file cannot be read or does not fit, or there is no such network.
    """
    check_released(name)
    state = PROGRAMS[source].read(file, name)
    options = {**RELEASED, "pool": pool or PROGRAMS[source].pool}
    return build_empty(name, num_classes=len(state["fc.bias"]), **options), state


def pooling_in_words(pool: Pool, source: str) -> str:
    """Return how a network pools, and whether the authors' did so."""
    return AS_PUBLISHED if pool == "ceil" else PADDED.format(source=source)
