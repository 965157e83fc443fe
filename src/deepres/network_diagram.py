"""What Figures 3 and 5 show of a network, as plain data: its layers in order, and its shortcuts."""

from dataclasses import dataclass
from typing import Literal

ShortcutKind = Literal["identity", "zero-padded", "projection", "gated"]
"""What is on a shortcut. Figure 3 draws those dotted that increase dimensions: zero-padded ones,
and projections whose ends differ in channels or size."""


@dataclass(frozen=True)
class Row:
    """One box of Figure 3."""

    label: str
    """As in the paper: "3×3 conv, 128, /2", "pool, /2", "avg pool", "fc 1000"."""
    stage: str
    """The paper's name: conv1, conv2_x, …, fc."""
    module: str
    """Its name in the state dict, by which responses go too."""
    channels: int
    """Of its output: filters, or units of a fully connected layer."""
    size: int
    """Side of its output in pixels; 1 for fully connected layers."""


@dataclass(frozen=True)
class Shortcut:
    """One curved arrow of Figure 3."""

    start: int
    """The place in ``rows`` of the layer whose output it carries; after that layer's addition, if
    there is one."""
    end: int
    """The place of the layer to whose output it is added, or with which it is mixed by a gate."""
    kind: ShortcutKind


@dataclass(frozen=True)
class Diagram:
    """A network as it is drawn."""

    name: str
    input_size: int
    """Side of the image in pixels."""
    rows: tuple[Row, ...]
    shortcuts: tuple[Shortcut, ...]
